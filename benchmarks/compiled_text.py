"""Read the text of a compiled program: its instructions, loops and collectives."""

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
        is_less: Whether it compares with "less than".
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
