# The same outputs as in ../aws and ../azure.

output "url" {
  description = "Where the service answers, once domain_name is delegated."
  value       = "https://${var.domain_name}"
}

output "name_servers" {
  description = "The parent zone delegates domain_name to these."
  value       = google_dns_managed_zone.this.name_servers
}

output "balancer" {
  description = "The balancer's own address, behind domain_name."
  value       = google_compute_global_address.this.address
}

output "registry" {
  description = "Where images are pushed to, without tag or digest."
  value       = "${var.region}-docker.pkg.dev/${var.account}/${google_artifact_registry_repository.this.repository_id}/${var.name}"
}

output "artifact_bucket" {
  description = "Where models, updates and SBOMs lie."
  value       = google_storage_bucket.artifacts.name
}

output "api_keys_secret" {
  description = "The secret that holds the file of hashed API keys."
  value       = google_secret_manager_secret.api_keys.secret_id
}

output "publisher" {
  description = "What lets a pipeline publish images and artifacts, and nothing else: a service account to act as."
  value       = google_service_account.publisher.email
}

output "service" {
  description = "The running service, by the name that the cloud's command line takes."
  value       = google_cloud_run_v2_service.this.name
}

output "log_location" {
  description = "Where the service's log is."
  value       = google_logging_project_bucket_config.this.id
}

output "alarms" {
  description = "Names of the alarms."
  value       = sort([for alarm in google_monitoring_alert_policy.this : alarm.display_name])
}

output "budget" {
  description = "The name of the budget."
  value       = google_billing_budget.monthly.display_name
}
