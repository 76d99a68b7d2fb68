"""How many cores there are to use: affinity, and every quota between this process and the root."""

import os

import pytest

from cvprod.serving import settings

HAVE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def make(root, files, groups="0::/\n"):
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def many(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


V1 = "12:memory:/x\n5:cpu,cpuacct:{}\n1:name=systemd:/x\n"


@pytest.mark.parametrize(
    ("files", "groups", "cores"),
    [
        ({}, "0::/\n", 16),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, "0::/\n", 16),
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, "0::/\n", 1),
        ({"sys/fs/cgroup/cpu.max": "140000 100000\n"}, "0::/\n", 1),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, "0::/\n", 2),
        ({"sys/fs/cgroup/cpu.max": "300000 100000\n"}, "0::/kubepods/pod1/x\n", 3),  # the host's path, our mount
        ({"sys/fs/cgroup/system.slice/cv.service/cpu.max": "200000 100000\n"}, "0::/system.slice/cv.service\n", 2),
        (
            {"sys/fs/cgroup/a/cpu.max": "200000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "900000 100000\n"},
            "0::/a/b\n",
            2,
        ),
        ({"sys/fs/cgroup/a/b/cpu.max": "nonsense\n"}, "0::/a/b\n", 16),
        *(
            (
                {
                    f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us": "250000\n",
                    f"sys/fs/cgroup/{folder}/cpu.cfs_period_us": "100000\n",
                },
                V1.format(group),
                3,
            )
            for folder, group in (
                ("cpu,cpuacct/docker/1", "/docker/1"),
                ("cpu", "/docker/1"),
                ("cpu,cpuacct", "/"),
                ("cpu/a", "/a/b"),
            )
        ),
        (
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            V1.format("/"),
            16,
        ),
        ({"sys/fs/cgroup/unified/a/cpu.max": "400000 100000\n"}, "0::/a\n", 4),
    ],
)
def test_a_quota_is_seen_wherever_it_stands(many, tmp_path, files, groups, cores):
    assert settings.usable_cores(make(tmp_path, files, groups)) == cores


def test_a_system_without_cgroups_has_its_affinity(tmp_path):
    assert settings.usable_cores(tmp_path) == HAVE


def test_this_machine():
    assert 1 <= settings.usable_cores() <= HAVE
