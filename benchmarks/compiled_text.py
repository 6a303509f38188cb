"""Read the text of a compiled program: collectives, large arrays, memory traffic."""

import collections
import math
import re
from typing import NamedTuple

BYTES_OF_DTYPE = {
    **dict.fromkeys(("pred", "s8", "u8", "f8e4m3fn", "f8e5m2"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64"), 8),
}

COLLECTIVES = (
    *("all-reduce", "all-gather", "reduce-scatter"),
    *("all-to-all", "collective-permute"),
)

# They move nothing: names for parts of other arrays, and the ends of asynchronous copies.
FREE_OPERATIONS = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast"),
    *("copy-done", "slice-done", "async-done", "after-all", "partition-id"),
}

# They read the part of their first operand that they return.
SLICES = {"slice", "dynamic-slice", "gather"}

COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
ARRAY_TYPE = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\](?:\{([^}]*)\})?")
SOURCE_NAME = re.compile(r'op_name="([^"]*)"')
CALLED = re.compile(r"\b(?:calls|body)=%?([\w.\-]+)")
CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')


class Instruction(NamedTuple):
    """An instruction of a compiled program.

    Attributes:
        name: Its name in the program.
        operation: What it does, such as "fusion".
        hbm_bytes: Bytes of the result, without what stays in the fast memory.
        all_bytes: Bytes of the result.
        operands: Names of the instructions that it reads; of a parameter its number, of
            an integer constant its value.
        source: Name of the operation that it was compiled from.
        result_type: Dtypes and shapes of the result.
        called: Name of the computation of a fusion or of the body of a loop, or "".
        condition: Name of the computation that ends a loop, or "".
        estimated_cycles: Clock cycles by the compiler's estimate; 0 without one.
        is_root: Whether it is the result of its computation.
        is_less: Whether it compares whether an operand is less than the next.
    """

    name: str
    operation: str
    hbm_bytes: int
    all_bytes: int
    operands: tuple[str, ...]
    source: str
    result_type: str
    called: str
    condition: str
    estimated_cycles: int
    is_root: bool
    is_less: bool


Computation = dict[str, Instruction]
"""Name -> instruction, in the order of the program."""


class Program(NamedTuple):
    """A compiled program.

    Attributes:
        main: Name of the main computation.
        computations: Computations by name.
    """

    main: str
    computations: dict[str, Computation]

    def num_runs(self) -> dict[str, int]:
        """Return how often the main computation and the bodies of its loops run.

        Returns:
            Name of a computation -> number; 1 in a loop whose iterations are not known.
        """
        num_runs = {self.main: 1}
        unvisited = [self.main]
        while unvisited:
            name = unvisited.pop()
            for item in self.computations[name].values():
                if item.operation == "while" and item.called in self.computations:
                    num_iterations = self._num_iterations(item)
                    num_runs[item.called] = num_runs[name] * num_iterations
                    unvisited.append(item.called)
        return num_runs

    def _num_iterations(self, loop: Instruction) -> int:
        """Return n of a loop that counts from 0 while its counter is less than n, else 1.

        JAX counts so in `scan` and `map`.
        """
        condition = self.computations.get(loop.condition, {})
        for item in condition.values():
            if item.is_root and item.operation == "compare" and item.is_less:
                bound = condition.get(item.operands[1])
                if bound is not None and bound.operation == "constant":
                    return int(bound.operands[0]) if bound.operands else 1
        return 1

    def estimated_cycles(self) -> int:
        """Return the compiler's estimate of the clock cycles of its own operations.

        Without kernels, gathers, scatters, collectives and asynchronous copies, which it
        does not estimate, and without the branches of conditions.
        """
        return sum(
            num_runs * item.estimated_cycles
            for name, num_runs in self.num_runs().items()
            for item in self.computations[name].values()
            if item.operation != "while"
        )


def read_program(program_text: str) -> Program:
    """Read a compiled program.

    Args:
        program_text: `as_text()` of the program.
    """
    main, current = "", {}
    computations: dict[str, Computation] = {}
    for line in program_text.splitlines():
        header = COMPUTATION.match(line)
        if header:
            current = computations[header[2]] = {}
            main = header[2] if header[1] else main
            continue
        match = INSTRUCTION.match(line)
        if match:
            item = _read_instruction(match, line)
            current[item.name] = item
    return Program(main, computations)


def _read_instruction(match: re.Match, line: str) -> Instruction:
    """Return the instruction of a line that `INSTRUCTION` matches."""
    root, name, result_type, operation, rest = match.groups()
    operand_text = rest.partition("), ")[0]
    if operation in ("parameter", "constant"):
        # Integers only; a fraction or a list has none.
        operands = tuple(re.findall(r"^\d+(?=\)|$)", operand_text))
    else:
        operands = tuple(re.findall(r"%([\w.\-]+)", operand_text))
    source, called, condition, cycles = (
        found[1] if (found := pattern.search(line)) else ""
        for pattern in (SOURCE_NAME, CALLED, CONDITION, CYCLES)
    )
    return Instruction(
        name,
        operation,
        array_bytes(result_type, hbm_only=True),
        array_bytes(result_type, hbm_only=False),
        operands,
        source,
        " ".join(f"{d}[{s}]" for d, s, _ in ARRAY_TYPE.findall(result_type)),
        called,
        condition,
        int(cycles or 0),
        bool(root),
        "direction=LT" in rest,
    )


def array_bytes(type_text: str, *, hbm_only: bool) -> int:
    """Return the bytes of the arrays of a type.

    Args:
        type_text: Type in the program, such as "(bf16[4,8]{1,0:T(8,128)S(1)}, f32[])".
        hbm_only: Leave out arrays in other memory spaces, `S(n)`, such as the fast
            memory of a core.
    """
    return sum(
        BYTES_OF_DTYPE[dtype] * math.prod(map(int, filter(None, shape.split(","))))
        for dtype, shape, layout in ARRAY_TYPE.findall(type_text)
        if dtype in BYTES_OF_DTYPE and not (hbm_only and "S(" in layout)
    )


def hbm_traffic(program: Program) -> dict[str, tuple[int, int]]:
    """Return how often each instruction runs, and the bytes it moves from and to HBM.

    An upper bound: a fusion may read a part of its operand only. Slices are counted as
    slices, such as those that the iterations of a loop read and write.

    Args:
        program: The program.

    Returns:
        Name of an instruction of the main computation, or of a loop in it -> (number of
        runs, bytes of a run).
    """
    by_name = {
        name: item
        for computation in program.computations.values()
        for name, item in computation.items()
    }
    return {
        item.name: (num_runs, _instruction_traffic(program, item, by_name))
        for name, num_runs in program.num_runs().items()
        for item in program.computations[name].values()
        if item.operation not in FREE_OPERATIONS and item.operation != "while"
    }


def _instruction_traffic(
    program: Program, item: Instruction, by_name: dict[str, Instruction]
) -> int:
    """Return the bytes that an instruction reads from and writes to HBM."""
    operands = [by_name[name] for name in item.operands if name in by_name]
    if item.operation.endswith("-start"):
        # The start of an asynchronous copy returns its operands besides the copy.
        distinct = {operand.name: operand for operand in operands}.values()
        operand_bytes = sum(operand.hbm_bytes for operand in distinct)
        all_operand_bytes = sum(operand.all_bytes for operand in distinct)
        copied_bytes = max(item.all_bytes - all_operand_bytes, 0)
        written_bytes = max(item.hbm_bytes - operand_bytes, 0)
        return written_bytes + (copied_bytes if operand_bytes else 0)
    body = program.computations.get(item.called, {})
    # 1. Reads: each operand once, or the slices of it that a fusion reads.
    read_bytes = {}
    for number, operand in enumerate(operands):
        num_bytes = operand.hbm_bytes
        if num_bytes:
            part_bytes = _part_read(item, number, body)
            num_bytes = num_bytes if part_bytes is None else min(part_bytes, num_bytes)
        read_bytes[operand.name] = max(num_bytes, read_bytes.get(operand.name, 0))
    # 2. Writes: the result, without what an update in place leaves as it is.
    written_bytes = item.hbm_bytes
    roots = [item] if not body else [root for root in body.values() if root.is_root]
    if roots and roots[0].operation == "tuple":
        roots = [body[name] for name in roots[0].operands if name in body]
    for root in roots:
        root = _skip_bitcasts(root, body)
        if root.operation == "dynamic-update-slice":
            update = (body or by_name).get(root.operands[1])
            if update is not None and written_bytes >= root.all_bytes:
                written_bytes += update.all_bytes - root.all_bytes
    return written_bytes + sum(read_bytes.values())


def _part_read(item: Instruction, number: int, body: Computation) -> int | None:
    """Return the bytes of an operand that are read if only parts are, else None.

    Args:
        item: Instruction that reads the operand.
        number: Number of the operand.
        body: Computation of a fusion; empty for another instruction.
    """
    if not body:
        readers = [(item, number)]
    else:
        aliases = {
            name
            for name, inner in body.items()
            if inner.operation == "parameter" and inner.operands == (str(number),)
        }
        readers = []
        for inner in body.values():
            for position, name in enumerate(inner.operands):
                if name not in aliases or inner.operation == "parameter":
                    continue
                if inner.operation == "bitcast":
                    aliases.add(inner.name)
                else:
                    readers.append((inner, position))
    part_bytes = 0
    for reader, position in readers:
        if reader.operation in SLICES and position == 0:
            part_bytes += reader.all_bytes
        elif reader.operation != "dynamic-update-slice" or position > 0:
            return None
    return part_bytes


def _skip_bitcasts(item: Instruction, body: Computation) -> Instruction:
    """Return the instruction whose result an instruction reinterprets."""
    while item.operation == "bitcast" and item.operands[0] in body:
        item = body[item.operands[0]]
    return item


def count_collectives(program: Program) -> dict[str, tuple[int, int]]:
    """Return the number of collectives of the program, and the bytes they return.

    Args:
        program: The program.

    Returns:
        Name of the collective -> (number, bytes on one device). An asynchronous one is
        counted where it starts, one in a loop once for each iteration.
    """
    counts: dict[str, tuple[int, int]] = collections.defaultdict(lambda: (0, 0))
    num_runs = program.num_runs()
    for computation_name, computation in program.computations.items():
        times = num_runs.get(computation_name, 1)
        for item in computation.values():
            name = item.operation.removesuffix("-start")
            if name not in COLLECTIVES:
                continue
            num_bytes = item.all_bytes
            if item.operation.endswith("-start"):
                # The type of the start lists the operands as well.
                num_bytes //= 2
            number, total_bytes = counts[name]
            counts[name] = number + times, total_bytes + times * num_bytes
    return dict(counts)
