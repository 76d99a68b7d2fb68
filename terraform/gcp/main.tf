# What several files need: labels, and the numbers that follow from the contract and from the service.

locals {
  labels = merge({
    project     = var.name
    environment = var.environment
    managed-by  = "terraform"
  }, var.labels)

  contract = yamldecode(file(coalesce(var.contract_file, "${path.module}/../../deploy/contract.yaml")))

  port = 8000

  # Whoever closes an idle connection first must be the balancer: a request that it sends into a connection which the
  # service is just closing comes back as 502. Google's front ends keep theirs for ten minutes, which nobody can change.
  balancer_idle_seconds = 600
  service_idle_seconds  = local.balancer_idle_seconds + 20

  # Cloud Run sends no new request to an instance that it stops, and kills it ten seconds after SIGTERM.
  stop_seconds        = 10
  drain_delay_seconds = 0
  drain_seconds       = 8

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
