# TLS ends at the environment's own balancer. Certificates that Azure manages are renewed over the open internet, which
# allowed_cidrs closes: so the certificate is one from the vault, and a new one there is taken up within hours.

resource "azurerm_dns_zone" "this" {
  name                = var.domain_name
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.labels
}

resource "azurerm_dns_a_record" "service" {
  name                = "@"
  zone_name           = azurerm_dns_zone.this.name
  resource_group_name = azurerm_resource_group.this.name
  ttl                 = 300
  records             = [azurerm_container_app_environment.this.static_ip_address]
  tags                = local.labels
}

# Proves to Azure that the name is ours, as soon as the parent zone delegates.
resource "azurerm_dns_txt_record" "ownership" {
  name                = "asuid"
  zone_name           = azurerm_dns_zone.this.name
  resource_group_name = azurerm_resource_group.this.name
  ttl                 = 300
  tags                = local.labels

  record {
    value = azurerm_container_app.this.custom_domain_verification_id
  }
}

resource "azurerm_container_app_environment_certificate" "this" {
  name                         = "tls"
  container_app_environment_id = azurerm_container_app_environment.this.id
  tags                         = local.labels

  certificate_key_vault {
    identity            = azurerm_user_assigned_identity.service.id
    key_vault_secret_id = azurerm_key_vault_certificate.this.versionless_secret_id
  }

  depends_on = [azurerm_role_assignment.secrets]
}

resource "azurerm_container_app_custom_domain" "this" {
  name                                     = var.domain_name
  container_app_id                         = azurerm_container_app.this.id
  container_app_environment_certificate_id = azurerm_container_app_environment_certificate.this.id
  certificate_binding_type                 = "SniEnabled"
  depends_on                               = [azurerm_dns_a_record.service, azurerm_dns_txt_record.ownership]
}
