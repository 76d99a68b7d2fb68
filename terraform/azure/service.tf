# The service on Container Apps: at least two replicas in different zones, scaled by CPU.

resource "azurerm_log_analytics_workspace" "this" {
  name                         = var.name
  resource_group_name          = azurerm_resource_group.this.name
  location                     = azurerm_resource_group.this.location
  sku                          = "PerGB2018"
  retention_in_days            = var.log_retention_days
  local_authentication_enabled = true # Container Apps hand over their logs with the workspace's key
  tags                         = local.labels
}

resource "azurerm_container_app_environment" "this" {
  name                       = var.name
  resource_group_name        = azurerm_resource_group.this.name
  location                   = azurerm_resource_group.this.location
  logs_destination           = "log-analytics"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id
  infrastructure_subnet_id   = azurerm_subnet.this.id
  zone_redundancy_enabled    = true
  mutual_tls_enabled         = true
  tags                       = local.labels

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.service.id]
  }

  workload_profile {
    name                  = "Consumption"
    workload_profile_type = "Consumption"
  }

  depends_on = [azurerm_subnet_network_security_group_association.this]
}

resource "azurerm_container_app" "this" {
  name                         = var.name
  resource_group_name          = azurerm_resource_group.this.name
  container_app_environment_id = azurerm_container_app_environment.this.id
  revision_mode                = "Single"
  workload_profile_name        = "Consumption"
  max_inactive_revisions       = 10
  tags                         = local.labels

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.service.id]
  }

  registry {
    server   = azurerm_container_registry.this.login_server
    identity = azurerm_user_assigned_identity.service.id
  }

  secret {
    name                = "api-keys"
    identity            = azurerm_user_assigned_identity.service.id
    key_vault_secret_id = azurerm_key_vault_secret.api_keys.versionless_id
  }

  ingress {
    external_enabled           = true
    target_port                = local.port
    transport                  = "http"
    allow_insecure_connections = false

    dynamic "ip_security_restriction" {
      for_each = var.allowed_cidrs

      content {
        name             = "plant-${ip_security_restriction.key}"
        action           = "Allow"
        ip_address_range = ip_security_restriction.value
      }
    }

    traffic_weight {
      latest_revision = true
      percentage      = 100
    }
  }

  template {
    min_replicas                     = var.min_instances
    max_replicas                     = var.max_instances
    termination_grace_period_seconds = local.stop_seconds

    container {
      name   = "service"
      image  = var.image
      cpu    = var.vcpu
      memory = "${var.memory_gib}Gi"

      dynamic "env" {
        for_each = local.settings

        content {
          name  = env.key
          value = env.value
        }
      }

      startup_probe {
        transport               = "HTTP"
        path                    = "/readyz"
        port                    = local.port
        interval_seconds        = 2
        timeout                 = 2
        failure_count_threshold = 10
      }

      readiness_probe {
        transport               = "HTTP"
        path                    = "/readyz"
        port                    = local.port
        interval_seconds        = 2
        timeout                 = 2
        failure_count_threshold = 2
        success_count_threshold = 1
      }

      liveness_probe {
        transport               = "HTTP"
        path                    = "/healthz"
        port                    = local.port
        interval_seconds        = 10
        timeout                 = 5
        failure_count_threshold = 6
      }

      volume_mounts {
        name = "keys"
        path = "/run/keys"
      }
    }

    # One file for each secret, called as the secret is.
    volume {
      name         = "keys"
      storage_type = "Secret"
    }

    custom_scale_rule {
      name             = "cpu"
      custom_rule_type = "cpu"
      # Chapter 5: above this share of its capacity a queue, and with it p99, grows steeply.
      metadata = {
        type  = "Utilization"
        value = "60"
      }
    }
  }

  depends_on = [azurerm_role_assignment.pull, azurerm_role_assignment.secrets]
}
