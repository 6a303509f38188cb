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

INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$"
)
ARRAY_TYPE = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\](?:\{([^}]*)\})?")
SOURCE_NAME = re.compile(r'op_name="([^"]*)"')


class Instruction(NamedTuple):
    """An instruction of the main computation.

    Attributes:
        name: Its name in the program.
        operation: What it does, such as "fusion".
        hbm_bytes: Bytes of the result, without what stays in the fast memory.
        all_bytes: Bytes of the result.
        operands: Names of the instructions that it reads.
        source: Name of the operation that it was compiled from.
        result_type: Dtypes and shapes of the result.
    """

    name: str
    operation: str
    hbm_bytes: int
    all_bytes: int
    operands: tuple[str, ...]
    source: str
    result_type: str


def read_instructions(program_text: str) -> list[Instruction]:
    """Read the instructions of the main computation; bodies of loops are left out.

    Args:
        program_text: `as_text()` of a compiled program.
    """
    _, _, main_text = program_text.partition("\nENTRY ")
    instructions = []
    for line in main_text.splitlines()[1:]:
        if line == "}":
            break
        match = INSTRUCTION.match(line)
        if match is None:
            continue
        name, result_type, operation, rest = match.groups()
        operand_text = rest.partition("), ")[0]
        source = SOURCE_NAME.search(line)
        instructions.append(
            Instruction(
                name,
                operation,
                array_bytes(result_type, hbm_only=True),
                array_bytes(result_type, hbm_only=False),
                tuple(re.findall(r"%([\w.\-]+)", operand_text)),
                source[1] if source else "",
                " ".join(f"{d}[{s}]" for d, s, _ in ARRAY_TYPE.findall(result_type)),
            )
        )
    return instructions


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


def hbm_traffic(instructions: list[Instruction]) -> dict[str, int]:
    """Return the bytes that each instruction reads from and writes to HBM.

    An upper bound: an instruction may read a part of its operand only.

    Args:
        instructions: Instructions of the main computation.
    """
    by_name = {item.name: item for item in instructions}
    return {
        item.name: _instruction_traffic(
            item, [by_name[name] for name in set(item.operands) if name in by_name]
        )
        for item in instructions
        if item.operation not in FREE_OPERATIONS
    }


def _instruction_traffic(item: Instruction, operands: list[Instruction]) -> int:
    """Return the bytes that an instruction reads from and writes to HBM."""
    operand_bytes = sum(operand.hbm_bytes for operand in operands)
    if not item.operation.endswith("-start"):
        return item.hbm_bytes + operand_bytes
    # The start of an asynchronous copy returns its operands besides the copy.
    all_operand_bytes = sum(operand.all_bytes for operand in operands)
    copied_bytes = max(item.all_bytes - all_operand_bytes, 0)
    written_bytes = max(item.hbm_bytes - operand_bytes, 0)
    return written_bytes + (copied_bytes if operand_bytes else 0)


def count_collectives(program_text: str) -> dict[str, tuple[int, int]]:
    """Return the number of collectives of the whole program, and the bytes they return.

    Args:
        program_text: `as_text()` of a compiled program.

    Returns:
        Name of the collective -> (number, bytes on one device). An asynchronous one is
        counted where it starts.
    """
    counts: dict[str, tuple[int, int]] = collections.defaultdict(lambda: (0, 0))
    for line in program_text.splitlines():
        match = INSTRUCTION.match(line)
        operation = match[3].removesuffix("-start") if match else ""
        if match is None or operation not in COLLECTIVES:
            continue
        num_bytes = array_bytes(match[2], hbm_only=False)
        if match[3].endswith("-start"):
            # The type of the start lists the operands as well.
            num_bytes //= 2
        number, total_bytes = counts[operation]
        counts[operation] = number + 1, total_bytes + num_bytes
    return dict(counts)
