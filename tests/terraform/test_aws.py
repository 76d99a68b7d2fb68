"""The AWS stack on moto: the real terraform and the real provider apply it, find nothing to change, and take it away.

What was made is listed with boto3. moto stands in for AWS: it knows names, fields and many rules of the API, and it
runs nothing. What AWS alone would say (quotas, DNS, a task that starts) is not tested here.
"""

import json
import re
import subprocess
import urllib.request

import pytest

from cvprod import contract
from cvprod.serving import settings
from cvprod.stack.program import Program, free_port

from . import stacks

#: Two to three minutes on a quiet machine, most of it waiting; much more where others compute as well.
pytestmark = pytest.mark.timeout(1800)
REGION = "eu-central-1"
LIMITS = contract.load_contract()
SERVICES = [
    *("acm", "applicationautoscaling", "budgets", "ce", "cloudwatch", "ec2", "ecr", "ecs", "elbv2", "iam", "kms"),
    *("logs", "route53", "s3", "secretsmanager", "sns", "sts"),
]
#: One of each kind, unless said otherwise; every one of these must be gone at the end.
COUNTS = {"subnets": 4, "security groups": 3, "endpoints": 5, "buckets": 2, "roles": 2, "alarms": 5}


def provider(endpoint: str) -> str:
    """An override file: the stack's own provider block, with another cloud behind it."""
    lines = "\n".join(f'    {name} = "{endpoint}"' for name in SERVICES)
    return f"""provider "aws" {{
  access_key                  = "key"
  secret_key                  = "secret"
  max_retries                 = 2
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true

  endpoints {{
{lines}
  }}
}}
"""


@pytest.fixture(scope="module")
def moto():
    """A running moto: (its address, its Python)."""
    python, port = stacks.environment("moto"), free_port()
    address = f"http://127.0.0.1:{port}"
    command = (python, stacks.HERE / "moto_server.py", "-H", "127.0.0.1", "-p", port)
    ready = lambda: urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5).status == 200  # noqa: E731
    with Program("moto", command, ready, env={"MOTO_ACM_VALIDATION_WAIT": "1"}, patience=120):
        yield address, python


def listed(moto) -> dict:
    """What boto3 finds."""
    address, python = moto
    done = subprocess.run(
        [python, stacks.HERE / "listed.py", address, REGION], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def applied(moto, tmp_path_factory):
    """The whole life of a stack, with what was seen on the way; the tests look at it."""
    stack = stacks.Stack("aws", tmp_path_factory.mktemp("aws"))
    (stack.folder / "moto_override.tf").write_text(provider(moto[0]))
    stack.init()
    seen = {"before": listed(moto)}
    stack.must("apply", "-auto-approve", "-parallelism=30")
    seen |= {"outputs": stack.outputs(), "there": listed(moto)}
    seen["again"] = stack.run("plan", "-detailed-exitcode", "-parallelism=30")
    seen["destroy"] = stack.must("destroy", "-auto-approve", "-refresh=false", "-parallelism=30")
    return seen | {"left": listed(moto)}


def test_every_promised_resource_is_there(applied):
    assert not any(applied["before"].values()), "this cloud is not empty"
    assert {kind: len(found) for kind, found in applied["there"].items()} == {
        kind: COUNTS.get(kind, 1) for kind in applied["there"]
    }


def test_a_second_plan_changes_nothing(applied):
    assert applied["again"].returncode == 0, applied["again"].stdout[-3000:]


def test_destroy_leaves_nothing(applied):
    assert {kind: found for kind, found in applied["left"].items() if found} == {}
    made, gone = (int(re.search(r"(\d+) destroyed", applied["destroy"])[1]), sum(map(len, applied["there"].values())))
    assert made > gone


def test_outputs_name_what_is_there(applied):
    out, there = applied["outputs"], applied["there"]
    assert out["registry"] == there["repositories"][0]["repositoryUri"]
    assert out["artifact_bucket"] in {bucket["name"] for bucket in there["buckets"]}
    assert out["balancer"] == there["balancers"][0]["DNSName"]
    assert out["api_keys_secret"] == there["secrets"][0]["Name"]
    assert out["publisher"] == there["policies"][0]["Arn"]
    assert out["service"] == there["services"][0]["serviceName"]
    assert out["log_location"] == there["logs"][0]["logGroupName"]
    assert set(out["alarms"]) == {alarm["AlarmName"] for alarm in there["alarms"]}
    assert out["budget"] == there["budgets"][0]["BudgetName"]
    assert out["name_servers"] and there["zones"][0]["Name"] == stacks.VALUES["domain_name"] + "."


def test_buckets_are_private_encrypted_and_forget(applied):
    for bucket in applied["there"]["buckets"]:
        assert all(bucket["public"].values()) and len(bucket["public"]) == 4
        assert all(rule["Status"] == "Enabled" for rule in bucket["life_cycle"])
        denied = [s for s in bucket["policy"]["Statement"] if s["Effect"] == "Deny"]
        assert [s["Condition"] for s in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]
        if bucket["name"] == applied["outputs"]["artifact_bucket"]:
            assert (bucket["versioning"], bucket["encryption"]) == ("Enabled", "aws:kms")
            assert bucket["life_cycle"][0]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
        else:
            assert bucket["life_cycle"][0]["Expiration"]["Days"] == 30


def test_only_the_plant_gets_in_and_only_by_tls(applied):
    there = applied["there"]
    (listener,) = there["balancers"][0]["listeners"]
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS") and "TLS13" in listener["SslPolicy"]
    (rule,) = [rule for rule in listener["rules"] if not rule["IsDefault"]]
    assert listener["DefaultActions"][0]["Type"] == "fixed-response"
    assert rule["Actions"][0]["Type"] == "forward" and "/v1/*" in rule["Conditions"][0]["PathPatternConfig"]["Values"]
    assert listener["Certificates"][0]["CertificateArn"] == there["certificates"][0]["CertificateArn"]
    doors = [
        (rule["FromPort"], span["CidrIp"])
        for group in there["security groups"]
        for rule in group["IpPermissions"]
        for span in rule["IpRanges"]
    ]
    assert set(doors) == {(443, cidr) for cidr in stacks.VALUES["allowed_cidrs"]}
    leaving = [r for group in there["security groups"] for r in group["IpPermissionsEgress"] if r["IpRanges"]]
    assert leaving == [], "a task or the balancer may call any address"
    private = set(there["services"][0]["networkConfiguration"]["awsvpcConfiguration"]["subnets"])
    zones = {s["AvailabilityZone"] for s in there["subnets"] if s["SubnetId"] in private}
    assert len(zones) == 2
    assert private.isdisjoint(zone["SubnetId"] for zone in there["balancers"][0]["AvailabilityZones"])


def test_the_service_has_two_places_to_fall_and_a_brake(applied):
    (service,), (scaling,) = applied["there"]["services"], applied["there"]["scaling"]
    assert service["launchType"] == "FARGATE" and service["desiredCount"] == scaling["MinCapacity"] == 2
    assert scaling["MaxCapacity"] == 6
    assert service["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"


def test_roles_may_do_what_they_need(applied):
    service, start = sorted(applied["there"]["roles"], key=lambda role: len(role["policies"]))
    assert service["policies"] == [] and not service["attached"] and not start["attached"]
    for statement in start["policies"][0]["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action]
        assert statement["Resource"] != "*" or actions == ["ecr:GetAuthorizationToken"]


def test_alarms_hold_the_contract(applied):
    by_name = {alarm["AlarmName"].removeprefix("inspection-"): alarm for alarm in applied["there"]["alarms"]}
    assert by_name["latency"]["Threshold"] * 1000 == pytest.approx(LIMITS.p99_latency_ms.limit)
    assert by_name["latency"]["ExtendedStatistic"] == "p99"
    assert by_name["traffic"]["Threshold"] == 60 * LIMITS.tiles_per_s.limit
    assert by_name["memory"]["Threshold"] * 2 * 2**30 / 100 == pytest.approx(LIMITS.memory_mb.limit * 1e6, rel=1e-4)
    topic = applied["there"]["topics"][0]["TopicArn"]
    assert all(alarm["AlarmActions"] == [topic] == alarm["OKActions"] for alarm in by_name.values())
    (who,) = applied["there"]["subscriptions"]
    assert (who["TopicArn"], who["Endpoint"]) == (topic, stacks.VALUES["alert_email"])


def test_everything_that_can_be_labelled_is(applied):
    there = applied["there"]
    tags = [there["networks"][0]["Tags"], *(subnet["Tags"] for subnet in there["subnets"])]
    for found in tags:
        labels = {tag["Key"]: tag["Value"] for tag in found}
        assert {"project", "environment", "managed-by", "cost-centre"} <= set(labels)


def test_the_balancer_closes_idle_connections_before_the_service_does(applied):
    idle = int(applied["there"]["balancers"][0]["attributes"]["idle_timeout.timeout_seconds"])
    assert idle > 0 and settings.load([], {"CVPROD_IDLE_SECONDS": str(idle + 15)}).idle_seconds > idle
