"""measure: every figure is held against something known: a sleep, a closed form, an allocation."""

import itertools
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from cvprod import measure
from cvprod.contract import load_contract


def test_percentiles_are_those_of_the_samples():
    latency = measure.Latency(np.arange(1, 102) / 1000)  # 1..101 ms
    assert latency.p(50) == pytest.approx(0.051)
    assert (latency.p50_ms, latency.p95_ms, latency.p99_ms) == pytest.approx((51, 96, 100))
    assert latency.mean_ms == pytest.approx(51)


@pytest.mark.parametrize("samples", [[], [[0.1, 0.2]], [0.1, np.nan], [np.inf]])
def test_latency_refuses_what_is_no_list_of_durations(samples):
    with pytest.raises(ValueError, match="finite durations"):
        measure.Latency(np.array(samples))


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_promises():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(100):
        low, high = measure.Latency(rng.exponential(size=200)).interval(50, 0.9, resamples=400, seed=seed)
        hits += low <= np.log(2) <= high  # the median of an exponential
    assert 80 <= hits <= 98


def test_bootstrap_interval_is_seeded_ordered_and_narrows_with_more_samples():
    rng = np.random.default_rng(2)
    few, many = (measure.Latency(rng.gamma(2, size=n)) for n in (50, 5000))
    assert few.interval(95) == few.interval(95)
    assert few.interval(95)[0] <= few.p(95) <= few.interval(95)[1]
    width = [high - low for high, low in (reversed(x.interval(50)) for x in (few, many))]
    assert width[1] < width[0] / 3
    assert few.interval_ms(50) == pytest.approx([x * 1e3 for x in few.interval(50)])


@pytest.mark.parametrize(
    ("q", "confidence", "enough"), [(50, 0.95, 6), (99, 0.95, 368), (99, 0.9, 299), (95, 0.95, 72)]
)
def test_an_upper_end_is_unknown_where_the_largest_sample_may_lie_below_the_percentile(q, confidence, enough):
    samples = np.random.default_rng(3).random((4000, enough))
    below = [(samples[:, :n].max(axis=1) < q / 100).mean() for n in (enough // 2, enough)]  # uniform: p(q) is q / 100
    assert below[0] > (1 - confidence) / 2 and below[1] < (1 - confidence) / 2 + 0.01
    few, many = (measure.Latency(samples[0, :n]) for n in (enough - 1, enough))
    assert few.interval(q, confidence)[1] == np.inf and few.interval(q, confidence)[0] <= few.p(q)
    assert many.interval(q, confidence)[1] <= samples[0].max()


def test_too_few_calls_break_a_limit_but_never_meet_it():
    contract = load_contract()
    few = measure.Latency(np.random.default_rng(4).normal(1e-3, 1e-5, size=100))
    slow = measure.Latency(few.samples * contract.p99_latency_ms.limit * 2)
    found = [
        contract.check({"p99_latency_ms": x.p99_ms}, {"p99_latency_ms": x.interval_ms(99)})[0] for x in (few, slow)
    ]
    assert [check.status for check in found] == ["not decided", "broken"]


def test_bootstrap_is_the_same_whether_or_not_it_is_cut_into_chunks():
    latency = measure.Latency(np.random.default_rng(0).random(50_000))
    low, high = latency.interval(50, resamples=200)  # 80 rows a chunk
    assert 0.49 < low < 0.5 < high < 0.51


def test_interval_wants_a_confidence_between_0_and_1():
    with pytest.raises(ValueError, match="confidence"):
        measure.Latency(np.ones(3)).interval(50, 95)


def test_latency_times_the_call_and_leaves_the_warm_up_out():
    calls = []

    def slow_at_first():
        calls.append(1)
        time.sleep(0.05 if len(calls) <= 2 else 0.002)

    latency = measure.latency(slow_at_first, warmup=2, repeats=5)
    assert len(calls) == 7 and latency.samples.size == 5
    assert 2 <= latency.p50_ms < 40
    assert latency.samples.max() < 0.05


def test_latency_goes_on_for_min_seconds():
    start = time.perf_counter()
    latency = measure.latency(lambda: time.sleep(0.001), warmup=0, repeats=1, min_seconds=0.1)
    assert time.perf_counter() - start >= 0.1
    assert latency.samples.size > 10


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"warmup": -1}])
def test_latency_refuses_nonsense(wrong):
    with pytest.raises(ValueError, match="repeats >= 1"):
        measure.latency(lambda: None, **wrong)


def test_compare_interleaves_and_gives_each_its_own_samples():
    order = []
    fns = {"a": lambda: order.append("a"), "b": lambda: (order.append("b"), time.sleep(0.002))}
    result = measure.compare(fns, warmup=1, repeats=40, rounds=10)
    assert {name: r.samples.size for name, r in result.items()} == {"a": 40, "b": 40}
    assert result["b"].p50_ms > 2 > result["a"].p50_ms
    switches = sum(x != y for x, y in itertools.pairwise(order))
    assert switches >= 10  # one after the other would be 1 or 2


def test_compare_stops_calling_what_takes_too_long():
    calls = []
    fns = {"slow": lambda: (calls.append(1), time.sleep(0.02)), "quick": lambda: None}
    result = measure.compare(fns, warmup=10, repeats=60, rounds=20, seconds=0.2)
    assert 3 <= result["slow"].samples.size < 20 and len(calls) < 40
    assert result["quick"].samples.size == 60


def test_compare_takes_any_hashable_as_a_name():
    timed = measure.compare({("structured", 0.5): int, "plain": int}, repeats=4, warmup=0)
    assert set(timed) == {("structured", 0.5), "plain"}


def test_compare_shares_out_repeats_that_do_not_divide():
    assert measure.compare({"a": lambda: None}, repeats=7, rounds=3)["a"].samples.size == 7
    assert measure.compare({"a": lambda: None}, repeats=2, rounds=20)["a"].samples.size == 2
    with pytest.raises(ValueError, match="at least one"):
        measure.compare({})


def test_a_drifting_machine_does_not_favour_whoever_is_measured_first():
    """The reason for interleaving: a slowdown in mid-run hits both alike."""
    clock = [0]

    def work():
        clock[0] += 1
        time.sleep(0.001 if clock[0] < 100 else 0.003)

    result = measure.compare({"first": work, "second": work}, warmup=0, repeats=100, rounds=20)
    ratio = result["first"].mean_ms / result["second"].mean_ms
    assert 0.75 < ratio < 1.33


def test_throughput_counts_items_not_calls():
    rate = measure.throughput(lambda: time.sleep(0.01), batch=8, seconds=0.2, warmup=0)
    assert 8 / 0.030 < rate <= 8 / 0.01
    with pytest.raises(ValueError, match="batch >= 1"):
        measure.throughput(lambda: None, batch=0)


def test_threads_are_put_back_even_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), measure.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="at least 1"), measure.threads(0):
        pass


# --- memory ---


def test_peak_memory_sees_what_the_child_allocates_and_forgets_the_parent():
    ballast = np.ones(300_000_000 // 8)  # the parent is heavy; the child must not inherit it
    small = measure.peak_memory("builtins:bytearray", 1)
    large = measure.peak_memory("builtins:bytearray", 200_000_000)
    assert small < 60e6, ballast.nbytes
    assert 200e6 <= large - small + 1e6 < 215e6


def test_peak_memory_keeps_the_peak_after_it_is_freed(tmp_path, monkeypatch):
    (tmp_path / "freed.py").write_text("def job(n):\n    x = bytearray(n)\n    del x\n    return 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert measure.peak_memory("freed:job", 150_000_000) > 150e6


def test_peak_memory_works_from_a_script_whose_main_the_child_does_not_have():
    script = "from cvprod import measure, repo\nprint(measure.peak_memory(repo.root) > 1e6)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


def test_peak_memory_says_what_to_do_with_a_function_that_cannot_be_imported():
    with pytest.raises(ValueError, match="move the function to a module"):
        measure.peak_memory(lambda: None)
    with pytest.raises(ValueError, match="not 'module:function'"):
        measure.peak_memory("torch")


def test_peak_memory_passes_on_the_childs_last_words():
    with pytest.raises(RuntimeError, match="invalid literal"):
        measure.peak_memory("builtins:int", "seven")


def test_file_size_of_file_and_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 10)
    (tmp_path / "sub" / "b").write_bytes(b"x" * 5)
    assert measure.file_size(tmp_path / "a") == 10
    assert measure.file_size(tmp_path) == 15
    with pytest.raises(FileNotFoundError, match="nowhere"):
        measure.file_size(tmp_path / "nowhere")


# --- compute ---


def test_parameters_flops_and_traffic_match_the_closed_form():
    conv = torch.nn.Conv2d(3, 8, kernel_size=3, padding=1)
    assert measure.parameters(conv) == 3 * 8 * 9 + 8
    assert measure.flops(conv, (2, 3, 10, 10)) == 2 * (2 * 10 * 10 * 8 * 3 * 9)
    assert measure.traffic(conv, (2, 3, 10, 10)) == 4 * (2 * 3 * 100 + 2 * 8 * 100 + 3 * 8 * 9 + 8)
    linear = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU())
    assert measure.flops(linear, (5, 6)) == 2 * 5 * 6 * 4
    assert measure.traffic(linear, (5, 6)) == 4 * (5 * 6 + 5 * 4 + 6 * 4 + 4) + 4 * 2 * 5 * 4


def test_traffic_leaves_no_hooks_behind():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    measure.traffic(model, (1, 2))
    assert not model[0]._forward_hooks


@pytest.mark.alone
def test_peaks_are_upper_bounds_that_real_work_does_not_beat():
    """A measured peak below what an ordinary operation reaches would be no peak."""
    with measure.threads(1):
        peak, ordinary = 0.0, 0.0
        a, b = torch.rand(256, 256), torch.rand(256, 256)
        for turn in range(20):  # side by side, for a busy machine's speed changes from one moment to the next
            peak = max(peak, measure.peak_flops(512, seconds=0.1))
            ordinary = max(ordinary, 2 * 256**3 / measure.latency(lambda: a @ b, repeats=20).p(50))
            if turn >= 3 and ordinary < peak * 1.3:
                break
        assert peak > 1e8 and ordinary < peak * 1.3
        bandwidth = measure.peak_bandwidth(32, seconds=0.2)
    assert 1e8 < bandwidth < 2e12


# --- machine ---


def test_machine_says_what_a_reader_of_a_number_needs():
    machine = measure.machine()
    assert machine["cpu"] and machine["cores"] >= 1 and machine["memory_bytes"] > 1e8
    assert machine["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert set(machine["isa"]) == {"avx2", "avx512", "vnni", "bf16", "amx"}
    assert all(isinstance(flag, bool) for flag in machine["isa"].values())


def test_cpuinfo_of_intel_and_arm():
    name, flags = measure._parse_cpuinfo("model name\t: Xeon\nflags\t\t: avx2 avx512_vnni amx_tile\n")
    assert name == "Xeon" and {"avx512_vnni", "amx_tile"} <= flags
    name, flags = measure._parse_cpuinfo("processor\t: 0\nFeatures\t: fp asimddp i8mm bf16\n")
    assert name and {"asimddp", "bf16"} <= flags


def test_sysctl_of_a_mac():
    text = "machdep.cpu.brand_string: Apple M3\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_BF16: 0\n"
    assert measure._parse_sysctl(text) == ("Apple M3", frozenset({"asimddp"}))
    assert measure._parse_sysctl("") == ("Apple CPU", frozenset())


# --- cold start and Pareto front ---


def test_cold_start_times_each_stage_in_one_fresh_process():
    times = measure.cold_start(
        {"sleep": "import time; time.sleep(0.1)", "define": "x = 7", "use": "assert x == 7; time.sleep(0.02)"}
    )
    assert list(times) == ["start Python", "sleep", "define", "use"]
    assert times["start Python"] > 0 and times["sleep"] >= 0.1 and 0.02 <= times["use"] < 0.1 > times["define"]


def test_cold_start_passes_on_a_failure():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        measure.cold_start({"fail": "1 / 0"})


@pytest.mark.parametrize("last", ["import sys; sys.exit(0)", "import os; os._exit(0)"])
def test_a_stage_or_call_that_ends_the_process_is_said(last, tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="ended before it could report"):
        measure.cold_start({"well": "x = 1", "gone": last})
    (tmp_path / "ending.py").write_text(f"def job():\n    {last}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RuntimeError, match="ended before it could report"):
        measure.peak_memory("ending:job")


def test_a_stage_or_call_without_words_is_known_by_its_exit_status():
    with pytest.raises(RuntimeError, match="exit status 3"):
        measure.cold_start({"gone": "import os; os._exit(3)"})


def test_a_stage_or_call_that_takes_too_long_is_stopped_and_said():
    with pytest.raises(RuntimeError, match=r"did not end within 0\.5 s"):
        measure.cold_start({"sleep": "import time; time.sleep(60)"}, timeout=0.5)
    with pytest.raises(RuntimeError, match=r"did not end within 0\.5 s"):
        measure.peak_memory("time:sleep", 60, timeout=0.5)


def test_pareto_by_brute_force():
    rng = np.random.default_rng(0)
    costs = rng.integers(0, 6, size=(60, 3))
    for i, chosen in enumerate(measure.pareto(costs)):
        beaten = any(all(o <= c) and any(o < c) for o, c in ((other, costs[i]) for other in costs))
        assert chosen == (not beaten)


def test_pareto_keeps_equals_and_refuses_nan():
    assert measure.pareto([[1, 2], [1, 2], [2, 1], [2, 2]]).tolist() == [True, True, True, False]
    with pytest.raises(ValueError, match="without nan"):
        measure.pareto([[1, np.nan]])


# --- best --------------------------------------------------------------------------------------------------


def test_best_stops_at_the_first_good_one_and_else_takes_the_highest():
    tries = iter([3.0, 1.0, 8.0, 9.0])
    assert measure.best(lambda: next(tries), lambda x: x, enough=5) == 8.0
    assert next(tries) == 9.0
    tries = iter([3.0, 4.0, 1.0])
    assert measure.best(lambda: next(tries), lambda x: x, enough=5, attempts=3) == 4.0
    with pytest.raises(ValueError, match="at least one"):
        measure.best(lambda: 1, lambda x: x, enough=0, attempts=0)


# --- parallelism -------------------------------------------------------------------------------------------


def test_parallelism_finds_that_only_one_core_is_left():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot bind a process to a core")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})  # what is started from here may use no other
    try:
        assert 0.6 < measure.parallelism(2) < 1.4
    finally:
        os.sched_setaffinity(0, before)
    assert 0.6 < measure.parallelism(1) < 1.4


@pytest.mark.parametrize(
    ("found", "ran", "ours"),
    [(1.9, 0.99, True), (1.51, 0.9, True), (1.4, 1.0, False), (1.0, 1.0, False), (1.98, 0.5, False)],
)
def test_undisturbed_is_said_of_cores_that_nobody_else_uses(monkeypatch, found, ran, ours):
    monkeypatch.setattr(measure, "machine", lambda: {"cores": 2})
    monkeypatch.setattr(measure, "_probe", lambda n: (found, ran))
    assert measure.undisturbed() is ours


def test_more_programs_than_cores_are_a_disturbance():
    burn = [sys.executable, "-S", "-c", "while True: pass"]
    crowd = [subprocess.Popen(burn) for _ in range(3 * measure.machine()["cores"])]
    try:
        assert not measure.undisturbed()
    finally:
        for process in crowd:
            process.kill()
            process.wait()


@pytest.mark.parametrize("wrong", [{"n": 0}, {"seconds": 0}, {"turns": 0}])
def test_parallelism_refuses_what_it_cannot_count(wrong):
    with pytest.raises(ValueError, match="needs n >= 1"):
        measure.parallelism(**wrong)
