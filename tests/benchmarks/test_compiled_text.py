from benchmarks.compiled_text import (
    array_bytes,
    count_collectives,
    hbm_traffic,
    read_instructions,
)

# S(1) is the fast memory of a core. Two lines belong to one instruction.
PROGRAM = """HloModule jit_step

%body (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %gathered = f32[4]{0:T(128)} all-gather(%p), dimensions={0}
}

ENTRY %main (x: bf16[8,16]) -> f32[8,16] {
  %x = bf16[8,16]{1,0:T(8,128)(2,1)} parameter(0), metadata={op_name="x"}
  %near = bf16[8,16]{1,0:T(8,128)(2,1)S(1)} fusion(%x), kind=kLoop, attributes={kernel={
"name":"first"
}}, metadata={op_name="jit(step)/scale"}
  %copy-start = (bf16[8,16]{1,0:S(1)}, bf16[8,16]{1,0}, u32[]{:S(2)}) copy-start(%x)
  %copy-done = bf16[8,16]{1,0:S(1)} copy-done(%copy-start)
  %sum = (f32[8,16]{1,0}, f32[8,16]{1,0}) all-reduce-start(%near), to_apply=%add
  ROOT %out = f32[8,16]{1,0} fusion(%near, %copy-done), metadata={op_name="jit(step)/mul"}
}
"""


def test_bytes_of_a_type_leave_out_the_fast_memory():
    type_text = "(bf16[8,16]{1,0:T(8,128)(2,1)S(1)}, f32[], pred[3]{0})"
    assert array_bytes(type_text, hbm_only=False) == 8 * 16 * 2 + 4 + 3
    assert array_bytes(type_text, hbm_only=True) == 4 + 3


def test_instructions_are_those_of_the_main_computation():
    instructions = read_instructions(PROGRAM)
    assert [item.name for item in instructions] == [
        *("x", "near", "copy-start", "copy-done", "sum", "out")
    ]
    out = instructions[-1]
    assert out.operation == "fusion"
    assert out.operands == ("near", "copy-done")
    assert out.source == "jit(step)/mul"
    assert out.result_type == "f32[8,16]"


def test_traffic_is_what_operations_read_from_and_write_to_hbm():
    traffic = hbm_traffic(read_instructions(PROGRAM))
    assert traffic == {
        "near": 256,  # reads x, writes to the fast memory
        "copy-start": 260,  # reads x and a word of state
        "sum": 1024,
        "out": 512,  # its operands are in the fast memory
    }


def test_collectives_of_all_computations_are_counted():
    assert count_collectives(PROGRAM) == {"all-gather": (1, 16), "all-reduce": (1, 512)}
