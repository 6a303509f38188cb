import pytest

from benchmarks.compiled_text import (
    array_bytes,
    count_collectives,
    read_program,
)
from benchmarks.memory_traffic import hbm_traffic
from benchmarks.step_report import shorten_type

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


def test_instructions_are_read():
    program = read_program(PROGRAM)
    assert program.main == "main"
    assert list(program.computations) == ["body", "main"]
    instructions = program.computations["main"]
    assert list(instructions) == [
        *("x", "near", "copy-start", "copy-done", "sum", "out")
    ]
    out = instructions["out"]
    assert out.operation == "fusion"
    assert out.operands == ("near", "copy-done")
    assert out.source == "jit(step)/mul"
    assert out.result_type == "f32[8,16]"


def test_traffic_is_what_operations_read_from_and_write_to_hbm():
    assert hbm_traffic(read_program(PROGRAM)) == {
        "near": (1, 256),  # reads x, writes to the fast memory
        "copy-start": (1, 260),  # reads x and a word of state
        "sum": (1, 1024),
        "out": (1, 512),  # its operands are in the fast memory
    }


def test_collectives_of_all_computations_are_counted():
    collectives = count_collectives(read_program(PROGRAM))
    assert collectives == {"all-gather": (1, 16), "all-reduce": (1, 512)}


# A loop over five layers: each iteration reads a slice of the stacked parameters, and
# writes a slice of the stacked results in place.
LOOP = """HloModule jit_step

%read (p.1: f32[5,100], i.1: s32[]) -> f32[100] {
  %p.1 = f32[5,100]{1,0} parameter(0)
  %i.1 = s32[] parameter(1)
  %flat = f32[500]{0} bitcast(%p.1)
  %slice = f32[100]{0} dynamic-slice(%flat, %i.1), dynamic_slice_sizes={100}
  ROOT %sine = f32[100]{0} sine(%slice)
}

%write (r.1: f32[5,100], x.1: f32[100], i.2: s32[]) -> f32[5,100] {
  %r.1 = f32[5,100]{1,0} parameter(0)
  %x.1 = f32[100]{0} parameter(1)
  %i.2 = s32[] parameter(2)
  %row = f32[1,100]{1,0} bitcast(%x.1)
  ROOT %update = f32[5,100]{1,0} dynamic-update-slice(%r.1, %row, %i.2)
}

%body (carry: (s32[], f32[5,100], f32[5,100])) -> (s32[], f32[5,100], f32[5,100]) {
  %carry = (s32[], f32[5,100]{1,0}, f32[5,100]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%carry), index=0
  %p = f32[5,100]{1,0} get-tuple-element(%carry), index=1
  %r = f32[5,100]{1,0} get-tuple-element(%carry), index=2
  %read_fusion = f32[100]{0} fusion(%p, %i), kind=kLoop, calls=%read, \
backend_config={"estimated_cycles":"7"}
  %sum = f32[100]{0} all-reduce(%read_fusion), to_apply=%add
  %write_fusion = f32[5,100]{1,0} fusion(%r, %sum, %i), kind=kLoop, calls=%write
  ROOT %next = (s32[], f32[5,100]{1,0}, f32[5,100]{1,0}) tuple(%i, %p, %write_fusion)
}

%cond (carry.1: (s32[], f32[5,100], f32[5,100])) -> pred[] {
  %carry.1 = (s32[], f32[5,100]{1,0}, f32[5,100]{1,0}) parameter(0)
  %count = s32[]{:T(128)} constant(5)
  %i.3 = s32[] get-tuple-element(%carry.1), index=0
  ROOT %less = pred[] compare(%i.3, %count), direction=LT
}

ENTRY %main (p.0: f32[5,100]) -> f32[5,100] {
  %p.0 = f32[5,100]{1,0} parameter(0)
  %start = (s32[], f32[5,100]{1,0}, f32[5,100]{1,0}) tuple(%zero, %p.0, %p.0)
  %loop = (s32[], f32[5,100]{1,0}, f32[5,100]{1,0}) while(%start), condition=%cond, \
body=%body, backend_config={"estimated_cycles":"1"}
  ROOT %result = f32[5,100]{1,0} get-tuple-element(%loop), index=2
}
"""


def test_iterations_of_a_loop_are_counted_and_slices_as_slices():
    program = read_program(LOOP)
    # An index of 4 bytes is read with each slice.
    assert hbm_traffic(program) == {
        "read_fusion": (5, 400 + 4 + 400),
        "sum": (5, 400 + 400),
        "write_fusion": (5, 400 + 4 + 400),
    }
    assert count_collectives(program) == {"all-reduce": (5, 5 * 400)}
    assert program.estimated_cycles() == 5 * 7


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("compare(%i.3, %count)", "less(%i.3)"),
        ("direction=LT", "direction=NE"),
        ("constant(5)", "constant(-1)"),
        ("constant(5)", "constant(5.5)"),
        ("constant(5)", "constant({5, 6})"),
    ],
)
def test_a_loop_without_a_known_number_of_iterations_is_counted_once(old, new):
    program = read_program(LOOP.replace(old, new))
    assert count_collectives(program) == {"all-reduce": (1, 400)}


def test_long_results_are_shortened():
    assert shorten_type("f32[2] f32[3]") == "f32[2] f32[3]"
    assert shorten_type("f32[2] f32[3] f32[4] f32[5] f32[6]") == (
        "f32[2] f32[3] f32[4] and 2 more"
    )
