import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from mst_jax.annotation.serving.program_cache import ProgramCache


def test_requested_programs_are_pending_until_they_are_compiled():
    cache = ProgramCache()
    cache.request(["crop", "paste"])
    assert cache.progress() == ([], 2)
    cache.compile_all({"crop": lambda: None})
    assert cache.progress() == (["crop"], 1) and cache.num_pending == 1
    assert cache.are_compiled(["crop"]) and not cache.are_compiled(["crop", "paste"])
    cache.compile_all({"forward": lambda: None})
    assert cache.progress() == (["crop", "forward"], 1)


def test_program_is_compiled_once_by_concurrent_threads():
    cache, compiled_names = ProgramCache(), []
    barrier = threading.Barrier(8)

    def compile_program():
        barrier.wait(10)
        cache.compile_all({"crop": lambda: compiled_names.append("crop")})

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(compile_program) for _ in range(8)]:
            future.result()
    assert compiled_names == cache.compiled == ["crop"]


def test_failed_program_is_compiled_again():
    cache = ProgramCache()
    cache.request(["crop"])
    for divisor, num_pending in ((0, 1), (1, 0)):
        with contextlib.suppress(ZeroDivisionError):
            cache.compile_all({"crop": lambda divisor=divisor: print(1 / divisor)})
        assert cache.num_pending == num_pending
