# terraform test: what the stack promises, with a provider that makes everything up. No account is needed.

mock_provider "azurerm" {}

variables {
  account       = "00000000-0000-0000-0000-000000000000"
  image         = "registry.example.com/inspection@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  domain_name   = "inspection.example.com"
  allowed_cidrs = ["203.0.113.0/24"]
  alert_email   = "line3@example.com"
}

run "secure" {
  command = plan

  assert {
    condition     = azurerm_storage_account.artifacts.blob_properties[0].versioning_enabled && !azurerm_storage_account.artifacts.shared_access_key_enabled && azurerm_storage_account.artifacts.network_rules[0].default_action == "Deny"
    error_message = "Artifacts have versions, and are private."
  }

  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "Nobody uses the registry without a name."
  }

  assert {
    condition     = tolist([for door in azurerm_container_app.this.ingress[0].ip_security_restriction : door.ip_address_range]) == var.allowed_cidrs && !azurerm_container_app.this.ingress[0].allow_insecure_connections
    error_message = "The plant comes in, by HTTPS."
  }

  assert {
    condition     = azurerm_network_security_rule.this["rest-out"].access == "Deny" && azurerm_network_security_rule.this["rest-in"].access == "Deny"
    error_message = "What is not named is refused."
  }

  assert {
    condition     = azurerm_key_vault_secret.api_keys.value == null
    error_message = "No secret goes through the state."
  }
}

run "service" {
  command = plan

  assert {
    condition     = tonumber({ for e in azurerm_container_app.this.template[0].container[0].env : e.name => e.value }["CVPROD_IDLE_SECONDS"]) > local.balancer_idle_seconds
    error_message = "The balancer has to close idle connections first."
  }

  assert {
    condition     = azurerm_container_app.this.template[0].termination_grace_period_seconds > local.drain_delay_seconds + local.drain_seconds
    error_message = "A replica is given the time to drain."
  }

  assert {
    condition     = azurerm_container_app.this.template[0].min_replicas == 2 && azurerm_container_app_environment.this.zone_redundancy_enabled
    error_message = "Two replicas always run, in two zones."
  }
}

run "more_of_it" {
  command = plan

  variables {
    vcpu                = 2
    memory_gib          = 4
    max_instances       = 10
    deletion_protection = true
    cost_anomaly_alarm  = true
    allowed_cidrs       = ["203.0.113.0/24", "198.51.100.7/32"]
  }

  assert {
    condition     = azurerm_container_app.this.template[0].container[0].cpu == 2 && azurerm_container_app.this.template[0].container[0].memory == "4Gi"
    error_message = "Sizes are what the variables say."
  }

  assert {
    condition     = azurerm_management_lock.this[0].lock_level == "CanNotDelete"
    error_message = "What is protected is not destroyed."
  }

  assert {
    condition     = contains(azurerm_cost_anomaly_alert.this[0].email_addresses, var.alert_email)
    error_message = "Somebody hears of unusual spending."
  }

  assert {
    condition     = contains(azurerm_storage_account.artifacts.network_rules[0].ip_rules, "198.51.100.7")
    error_message = "Storage wants a single address without its mask."
  }
}

run "refuses_a_moving_tag" {
  command         = plan
  expect_failures = [var.image]

  variables {
    image = "registry.example.com/inspection:latest"
  }
}

run "refuses_an_open_door_by_mistake" {
  command         = plan
  expect_failures = [var.allowed_cidrs]

  variables {
    allowed_cidrs = []
  }
}

run "refuses_one_instance" {
  command         = plan
  expect_failures = [var.min_instances]

  variables {
    min_instances = 1
  }
}
