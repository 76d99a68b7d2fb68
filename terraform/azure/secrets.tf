# A vault with two things in it. The file of API keys: hashes only, one JSON object a line (python -m cvprod.serving
# keys); Terraform makes its first value, which lets nobody in. And the certificate, the first of which is signed by
# nobody: people and pipelines put the later ones, and no state ever holds them.

resource "azurerm_key_vault" "this" {
  # checkov:skip=CKV_AZURE_189:People at the plant put keys and certificates: the networks that may are named below, the others are refused
  # checkov:skip=CKV2_AZURE_32:The service comes in over the service endpoint of its subnet
  name                          = "kv-${local.compact}"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = azurerm_resource_group.this.location
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 7
  public_network_access_enabled = true
  tags                          = local.labels

  # Whoever applies does so from one of these networks.
  network_acls {
    default_action             = "Deny"
    bypass                     = "AzureServices"
    ip_rules                   = var.allowed_cidrs
    virtual_network_subnet_ids = [azurerm_subnet.this.id]
  }
}

resource "azurerm_role_assignment" "applier" {
  for_each             = toset(["Key Vault Secrets Officer", "Key Vault Certificates Officer"])
  scope                = azurerm_key_vault.this.id
  role_definition_name = each.key
  principal_id         = data.azurerm_client_config.current.object_id
}

resource "azurerm_key_vault_secret" "api_keys" {
  # checkov:skip=CKV_AZURE_41:The file holds hashes of many keys, each with its own end; a date on the file would end them all
  name             = "api-keys"
  key_vault_id     = azurerm_key_vault.this.id
  content_type     = "application/x-ndjson"
  value_wo         = "# no key yet"
  value_wo_version = 1
  tags             = local.labels
  depends_on       = [azurerm_role_assignment.applier]
}

resource "azurerm_key_vault_certificate" "this" {
  name         = "tls"
  key_vault_id = azurerm_key_vault.this.id
  tags         = local.labels

  certificate_policy {
    issuer_parameters {
      name = "Self"
    }

    key_properties {
      key_type   = "RSA"
      key_size   = 3072
      exportable = true
      reuse_key  = false
    }

    secret_properties {
      content_type = "application/x-pkcs12"
    }

    x509_certificate_properties {
      subject            = "CN=${var.domain_name}"
      validity_in_months = 12
      key_usage          = ["digitalSignature"]
      extended_key_usage = ["1.3.6.1.5.5.7.3.1"]

      subject_alternative_names {
        dns_names = [var.domain_name]
      }
    }

    lifetime_action {
      action {
        action_type = "EmailContacts"
      }

      trigger {
        days_before_expiry = 30
      }
    }
  }

  # A certificate that was put over this one stays.
  lifecycle {
    ignore_changes = [certificate_policy]
  }

  depends_on = [azurerm_role_assignment.applier]
}

resource "azurerm_monitor_diagnostic_setting" "vault" {
  name                       = "access"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "AuditEvent"
  }
}
