"""Bytes that the instructions of a compiled program read from and write to HBM."""

from benchmarks.compiled_text import Computation, Instruction, Program

# They move nothing: names for parts of other arrays, and the ends of asynchronous copies.
FREE_OPERATIONS = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast"),
    *("copy-done", "slice-done", "async-done", "after-all", "partition-id"),
}

# They read the part of their first operand that they return.
SLICES = {"slice", "dynamic-slice", "gather"}


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
