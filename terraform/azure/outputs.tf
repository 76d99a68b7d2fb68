# The same outputs as in ../aws and ../gcp.

output "url" {
  description = "Where the service answers, once domain_name is delegated."
  value       = "https://${var.domain_name}"
}

output "name_servers" {
  description = "The parent zone delegates domain_name to these."
  value       = sort(azurerm_dns_zone.this.name_servers)
}

output "balancer" {
  description = "The balancer's own address, behind domain_name."
  value       = azurerm_container_app_environment.this.static_ip_address
}

output "registry" {
  description = "Where images are pushed to, without tag or digest."
  value       = "${azurerm_container_registry.this.login_server}/${var.name}"
}

output "artifact_bucket" {
  description = "Where models, updates and SBOMs lie."
  value       = "${azurerm_storage_account.artifacts.primary_blob_endpoint}${azurerm_storage_container.artifacts.name}"
}

output "api_keys_secret" {
  description = "The secret that holds the file of hashed API keys."
  value       = azurerm_key_vault_secret.api_keys.name
}

output "publisher" {
  description = "What lets a pipeline publish images and artifacts, and nothing else: the client id of an identity."
  value       = azurerm_user_assigned_identity.publisher.client_id
}

output "service" {
  description = "The running service, by the name that the cloud's command line takes."
  value       = azurerm_container_app.this.name
}

output "log_location" {
  description = "Where the service's log is."
  value       = azurerm_log_analytics_workspace.this.name
}

output "alarms" {
  description = "Names of the alarms."
  value = sort(concat(
    [for alarm in azurerm_monitor_scheduled_query_rules_alert_v2.this : alarm.name],
    [for alarm in azurerm_monitor_metric_alert.this : alarm.name],
  ))
}

output "budget" {
  description = "The name of the budget."
  value       = azurerm_consumption_budget_resource_group.monthly.name
}
