# Images. Whoever pulls or pushes does so as itself: there is no password.

resource "azurerm_container_registry" "this" {
  # checkov:skip=CKV_AZURE_139:Closing the public end needs Premium at ten times the price; nobody gets in without a role, and there is no password
  # checkov:skip=CKV_AZURE_163:Microsoft Defender scans images for the whole subscription; it is not the stack's to turn on
  # checkov:skip=CKV_AZURE_165:A second region needs Premium; images are built again from a commit
  # checkov:skip=CKV_AZURE_166:Quarantine needs Premium; the pipeline scans before it pushes
  # checkov:skip=CKV_AZURE_167:Clearing untagged images by policy needs Premium; the pipeline runs "acr purge"
  # checkov:skip=CKV_AZURE_164:Content trust is retired; images are named by digest
  # checkov:skip=CKV_AZURE_233:Zones need Premium; running replicas need no registry
  # checkov:skip=CKV_AZURE_237:Data endpoints of our own need Premium
  name                          = local.compact
  resource_group_name           = azurerm_resource_group.this.name
  location                      = azurerm_resource_group.this.location
  sku                           = "Standard"
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = true
  tags                          = local.labels
}
