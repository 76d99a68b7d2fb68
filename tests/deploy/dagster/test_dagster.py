"""The pipeline's cluster configuration: valid by Kubernetes' and Dagster's own schemas, and fitting together."""

import shutil
import subprocess

import pytest
import yaml

from cvprod.repo import root

FOLDER = root() / "deploy/dagster"


@pytest.fixture(scope="module")
def objects():
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl (kustomize is inside)")
    done = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of(objects, kind):
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_manifests_are_valid_and_have_no_unknown_field(objects, version):
    import kubernetes_validate

    for made in objects:
        kubernetes_validate.validate(made, version, strict=True)


def test_names_lead_somewhere(objects):
    accounts, claims, maps = (set(of(objects, k)) for k in ("ServiceAccount", "PersistentVolumeClaim", "ConfigMap"))
    for name, made in of(objects, "Deployment").items():
        pod = made["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] in accounts, name
        for volume in pod["volumes"]:
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in claims | {None}
            assert volume.get("configMap", {}).get("name") in maps | {None}
        assert pod["securityContext"]["runAsNonRoot"] and pod["containers"][0]["securityContext"]["capabilities"]
    code = of(objects, "Deployment")["dagster-code"]["spec"]["template"]
    service = of(objects, "Service")["dagster-code"]["spec"]
    assert service["selector"].items() <= code["metadata"]["labels"].items()
    for other in ("dagster-daemon", "dagster-page"):
        command = of(objects, "Deployment")[other]["spec"]["template"]["spec"]["containers"][0]["command"]
        assert command[command.index("--grpc-host") + 1] == "dagster-code"
    assert {o["metadata"]["namespace"] for o in objects} == {"inspection-mlops"}


def test_only_the_daemon_holds_a_token_and_it_may_only_run_jobs(objects):
    tokens = {n: d["spec"]["template"]["spec"]["automountServiceAccountToken"] for n, d in
              of(objects, "Deployment").items()}  # fmt: skip
    assert tokens == {"dagster-code": False, "dagster-daemon": True, "dagster-page": False}
    rules = of(objects, "Role")["dagster-runs"]["rules"]
    assert all("*" not in rule["verbs"] + rule["resources"] for rule in rules)
    assert not any("secrets" in rule["resources"] for rule in rules)


def test_runs_find_account_claim_and_map(objects):
    config = yaml.safe_load((FOLDER / "dagster.yaml").read_text())["run_launcher"]["config"]
    assert config["service_account_name"] in of(objects, "ServiceAccount")
    assert config["instance_config_map"] in of(objects, "ConfigMap")
    (volume,) = config["run_k8s_config"]["pod_spec_config"]["volumes"]
    assert volume["persistent_volume_claim"]["claim_name"] in of(objects, "PersistentVolumeClaim")


def test_dagster_accepts_its_file_and_refuses_a_misspelt_one(tmp_path, monkeypatch):
    pytest.importorskip("dagster", reason="needs dagster")
    from dagster import DagsterInvalidConfigError
    from dagster._core.instance.config import dagster_instance_config

    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "x")
    text = (FOLDER / "dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(text)
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["run_monitoring"]["enabled"] and config["run_retries"]["max_retries"] == 3
    (tmp_path / "dagster.yaml").write_text(text.replace("start_timeout_seconds", "start_time_out"))
    with pytest.raises(DagsterInvalidConfigError, match="start_time_out"):
        dagster_instance_config(str(tmp_path))


def test_the_sensor_asks_for_one_run_an_event(tmp_path, monkeypatch):
    dg = pytest.importorskip("dagster", reason="needs dagster")
    from cvprod.mlops import pipeline

    (tmp_path / "events").mkdir()
    for name in ("drift-1", "drift-2"):
        (tmp_path / "events" / f"{name}.json").write_text("{}")
    monkeypatch.setenv("CVPROD_SITE", str(tmp_path))
    asked = list(pipeline.events(dg.build_sensor_context()))
    assert [(one.run_key, one.tags["event"]) for one in asked] == [("drift-1", "drift-1"), ("drift-2", "drift-2")]
    assert dg.validate_run_config(pipeline.maintain, asked[0].run_config)
    assert pipeline.defs.resolve_job_def("maintain").name == "maintain"
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(pipeline.maintain, {"resources": {"line": {"config": {"folder": "x"}}}})
