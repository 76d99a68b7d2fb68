# Artifacts (models, updates for the boxes, SBOMs): private, encrypted twice, versioned, with a life cycle. No keys and no
# links with keys in them: whoever reads or writes does so as itself.

resource "azurerm_storage_account" "artifacts" {
  # checkov:skip=CKV_AZURE_33:Queues are not used; there is nothing of them to log
  # checkov:skip=CKV_AZURE_59:Pipelines outside Azure put artifacts: the networks that may are named below, the others are refused
  # checkov:skip=CKV_AZURE_206:Zone-redundant is enough: artifacts are made again by one command from a commit
  # checkov:skip=CKV2_AZURE_1:Microsoft's keys encrypt; one of ours would lie in a vault of the same subscription, under the same administrators
  # checkov:skip=CKV2_AZURE_33:A private endpoint serves who is inside our network; artifacts come from, and go to, the plant
  name                              = local.compact
  resource_group_name               = azurerm_resource_group.this.name
  location                          = azurerm_resource_group.this.location
  account_tier                      = "Standard"
  account_kind                      = "StorageV2"
  account_replication_type          = "ZRS"
  access_tier                       = "Hot"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  allow_nested_items_to_be_public   = false
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  cross_tenant_replication_enabled  = false
  infrastructure_encryption_enabled = true
  local_user_enabled                = false
  tags                              = local.labels

  # Links with a key in them cannot be made without keys; should that change, they live for an hour.
  sas_policy {
    expiration_period = "00.01:00:00"
    expiration_action = "Block"
  }

  blob_properties {
    versioning_enabled  = true
    change_feed_enabled = true

    delete_retention_policy {
      days = var.artifact_retention_days
    }

    container_delete_retention_policy {
      days = var.artifact_retention_days
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices", "Logging", "Metrics"]
    ip_rules       = local.addresses
  }
}

resource "azurerm_storage_container" "artifacts" {
  # checkov:skip=CKV2_AZURE_21:Reads and writes of blobs are logged by the diagnostic setting below, which the check does not see
  name                  = "artifacts"
  storage_account_id    = azurerm_storage_account.artifacts.id
  container_access_type = "private"
}

resource "azurerm_storage_management_policy" "artifacts" {
  storage_account_id = azurerm_storage_account.artifacts.id

  rule {
    name    = "old-versions"
    enabled = true

    filters {
      blob_types = ["blockBlob"]
    }

    actions {
      version {
        delete_after_days_since_creation = var.artifact_retention_days
      }
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "artifacts" {
  name                       = "access"
  target_resource_id         = "${azurerm_storage_account.artifacts.id}/blobServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "StorageRead"
  }

  enabled_log {
    category = "StorageWrite"
  }

  enabled_log {
    category = "StorageDelete"
  }
}
