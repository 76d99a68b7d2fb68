"""What lies in a cloud (moto's), asked with boto3 and not with terraform. Runs in moto's own environment.

python listed.py ENDPOINT REGION prints JSON: kind -> what there is of it, without what every account has.
"""

import json
import sys

import boto3


def listed(endpoint: str, region: str) -> dict:
    """Kind -> list of the cloud's own descriptions."""
    session = boto3.Session("key", "secret", region_name=region)

    def client(name: str):
        return session.client(name, endpoint_url=endpoint)

    def pages(name: str, action: str, field: str, **options) -> list:
        service = client(name)
        if not service.can_paginate(action):
            return getattr(service, action)(**options)[field]
        return [item for page in service.get_paginator(action).paginate(**options) for item in page[field]]

    own = [vpc for vpc in pages("ec2", "describe_vpcs", "Vpcs") if not vpc["IsDefault"]]
    ours = {vpc["VpcId"] for vpc in own}
    inside = {"Filters": [{"Name": "vpc-id", "Values": sorted(ours) or ["none"]}]}
    s3, ecs, elb, iam, kms = (client(name) for name in ("s3", "ecs", "elbv2", "iam", "kms"))
    buckets = []
    for name in (bucket["Name"] for bucket in s3.list_buckets()["Buckets"]):
        rule = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
        buckets.append(
            {
                "name": name,
                "versioning": s3.get_bucket_versioning(Bucket=name).get("Status"),
                "encryption": rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"],
                "public": s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
                "life_cycle": s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"],
                "policy": json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]),
            }
        )
    roles = []
    for role in pages("iam", "list_roles", "Roles"):
        names = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        policies = [iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"] for name in names]
        attached = iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
        roles.append({"name": role["RoleName"], "policies": policies, "attached": attached})
    balancers = pages("elbv2", "describe_load_balancers", "LoadBalancers")
    for balancer in balancers:
        arn = balancer["LoadBalancerArn"]
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        balancer["attributes"] = {item["Key"]: item["Value"] for item in attributes}
        balancer["listeners"] = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        for listener in balancer["listeners"]:
            listener["rules"] = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    services = []
    for cluster in ecs.list_clusters()["clusterArns"]:
        arns = ecs.list_services(cluster=cluster)["serviceArns"]
        services += ecs.describe_services(cluster=cluster, services=arns)["services"] if arns else []
    budgets = client("budgets").describe_budgets(AccountId="123456789012").get("Budgets", [])
    alive = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    scaled = {"ServiceNamespace": "ecs"}
    return {
        "networks": own,
        "subnets": pages("ec2", "describe_subnets", "Subnets", **inside),
        "security groups": [
            group
            for group in pages("ec2", "describe_security_groups", "SecurityGroups", **inside)
            if group["GroupName"] != "default"
        ],
        "endpoints": [
            point
            for point in pages("ec2", "describe_vpc_endpoints", "VpcEndpoints")
            if point["State"].lower() != "deleted"
        ],
        "flow logs": pages("ec2", "describe_flow_logs", "FlowLogs"),
        "gateways": [
            gateway
            for gateway in pages("ec2", "describe_internet_gateways", "InternetGateways")
            if {attached["VpcId"] for attached in gateway["Attachments"]} & ours or not gateway["Attachments"]
        ],
        "buckets": buckets,
        "keys": [key for key in alive if key["KeyState"] != "PendingDeletion" and key["KeyManager"] == "CUSTOMER"],
        "repositories": pages("ecr", "describe_repositories", "repositories"),
        "roles": roles,
        "policies": pages("iam", "list_policies", "Policies", Scope="Local"),
        "secrets": pages("secretsmanager", "list_secrets", "SecretList"),
        "logs": pages("logs", "describe_log_groups", "logGroups"),
        "balancers": balancers,
        "target groups": pages("elbv2", "describe_target_groups", "TargetGroups"),
        "certificates": pages("acm", "list_certificates", "CertificateSummaryList"),
        "zones": pages("route53", "list_hosted_zones", "HostedZones"),
        "clusters": [
            cluster
            for cluster in ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
            if cluster["status"] == "ACTIVE"
        ],
        "services": [service for service in services if service["status"] == "ACTIVE"],
        "scaling": pages("application-autoscaling", "describe_scalable_targets", "ScalableTargets", **scaled),
        "scaling policies": pages("application-autoscaling", "describe_scaling_policies", "ScalingPolicies", **scaled),
        "topics": pages("sns", "list_topics", "Topics"),
        "subscriptions": pages("sns", "list_subscriptions", "Subscriptions"),
        "alarms": [
            alarm
            for alarm in pages("cloudwatch", "describe_alarms", "MetricAlarms")
            if not alarm["AlarmName"].startswith("TargetTracking-")  # the autoscaler's own
        ],
        "budgets": budgets,
    }


if __name__ == "__main__":
    print(json.dumps(listed(*sys.argv[1:]), default=str))
