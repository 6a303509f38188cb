"""Names of compute dtypes, and the choice by the features of the CPU."""

import jax
import jaxlib
import pytest

from mst_jax import compute_dtype
from mst_jax.compute_dtype import fastest_dtype, parse_compute_dtype


@pytest.fixture
def set_cpu_flags(tmp_path, monkeypatch):
    def set_flags(text, jaxlib_version=(0, 11, 2)):
        path = tmp_path / "cpuinfo"
        if text is not None:
            path.write_text(text)
        monkeypatch.setattr(compute_dtype, "CPU_INFO_FILE", path)
        monkeypatch.setattr(jaxlib.version, "__version_info__", jaxlib_version)
        compute_dtype._cpu_flags.cache_clear()

    yield set_flags
    compute_dtype._cpu_flags.cache_clear()


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="dtype is 'f99', expected 'float32'"):
        parse_compute_dtype("f99")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f amx_bf16 amx_tile", "bfloat16"),
        ("fpu avx512_bf16", "bfloat16"),
        ("fpu avx512f amx_tile amx_int8", "float32"),
        ("", "float32"),
    ],
)
def test_cpu_chooses_its_fastest_dtype(set_cpu_flags, flags, expected):
    set_cpu_flags(f"processor\t: 0\nflags\t\t: {flags}\nbogomips\t: 1\n")
    assert fastest_dtype("float32") == fastest_dtype("bfloat16") == expected


def test_machine_without_the_list_of_features_computes_in_float32(set_cpu_flags):
    set_cpu_flags(None)
    assert fastest_dtype("bfloat16") == "float32"


def test_old_jaxlib_computes_in_float32(set_cpu_flags):
    set_cpu_flags("flags: amx_bf16", jaxlib_version=(0, 10, 2))
    assert fastest_dtype("bfloat16") == "float32"


def test_accelerators_compute_as_trained(set_cpu_flags, monkeypatch):
    set_cpu_flags("flags: amx_bf16")
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert [fastest_dtype(name) for name in ("float32", "bfloat16")] == [
        *("float32", "bfloat16")
    ]
