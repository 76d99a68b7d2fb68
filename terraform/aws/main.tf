# What several files need: names, labels, and the numbers that follow from the contract and from the service.

locals {
  labels = merge({
    project     = var.name
    environment = var.environment
    managed-by  = "terraform"
  }, var.labels)

  account_id = data.aws_caller_identity.current.account_id
  arn        = "arn:${data.aws_partition.current.partition}" # how names begin
  here       = "${var.region}:${local.account_id}"

  # Who writes to the topic of alarms.
  alarming = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com"]

  # Two zones by name, so that a new one of the region moves no subnet. In two regions accounts have no zone "b".
  zones = [for letter in lookup({ ap-northeast-1 = ["a", "c"], us-west-1 = ["a", "c"] }, var.region, ["a", "b"]) : "${var.region}${letter}"]

  contract = yamldecode(file(coalesce(var.contract_file, "${path.module}/../../deploy/contract.yaml")))

  port = 8000

  # Whoever closes an idle connection first must be the balancer: a request that it sends into a connection which the
  # service is just closing comes back as 502.
  balancer_idle_seconds = 60
  service_idle_seconds  = local.balancer_idle_seconds + 15

  # A task that ends stays reachable until the balancer has noticed, then finishes what it has begun.
  drain_delay_seconds = 5
  drain_seconds       = 20
  stop_seconds        = local.drain_delay_seconds + local.drain_seconds + 15

  settings = {
    CVPROD_HOST              = "0.0.0.0"
    CVPROD_PORT              = tostring(local.port)
    CVPROD_GRPC_PORT         = "0"
    CVPROD_WORKERS           = tostring(var.vcpu)
    CVPROD_API_KEYS          = "/run/keys/api-keys"
    CVPROD_LATENCY_BUDGET_MS = tostring(local.contract.p99_latency_ms.limit)
    CVPROD_IDLE_SECONDS      = tostring(local.service_idle_seconds)
    CVPROD_DRAIN_DELAY       = tostring(local.drain_delay_seconds)
    CVPROD_DRAIN_SECONDS     = tostring(local.drain_seconds)
  }
}
