# What several files need: names, labels, and the numbers that follow from the contract and from the service.

locals {
  labels = merge({
    project     = var.name
    environment = var.environment
    managed-by  = "terraform"
  }, var.labels)

  # Some names are unique in all of Azure, short, and without hyphens.
  unique  = substr(sha256("${var.account}/${var.name}"), 0, 6)
  compact = "${substr(replace(var.name, "-", ""), 0, 14)}${local.unique}"

  # Networks of one address are written without their mask where Azure wants them so.
  addresses = [for cidr in var.allowed_cidrs : trimsuffix(cidr, "/32")]

  contract = yamldecode(file(coalesce(var.contract_file, "${path.module}/../../deploy/contract.yaml")))

  port = 8000

  # Whoever closes an idle connection first must be the balancer: a request that it sends into a connection which the
  # service is just closing comes back as 502. The one of Container Apps waits four minutes, which nobody can change.
  balancer_idle_seconds = 240
  service_idle_seconds  = local.balancer_idle_seconds + 15

  # A replica that ends stays reachable until the balancer has noticed, then finishes what it has begun.
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

resource "azurerm_resource_group" "this" {
  name     = var.name
  location = var.region
  tags     = local.labels
}

resource "azurerm_management_lock" "this" {
  count      = var.deletion_protection ? 1 : 0
  name       = "${var.name}-keep"
  scope      = azurerm_resource_group.this.id
  lock_level = "CanNotDelete"
  notes      = "var.deletion_protection"
}
