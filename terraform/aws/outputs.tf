# The same outputs as in ../gcp and ../azure.

output "url" {
  description = "Where the service answers, once domain_name is delegated."
  value       = "https://${var.domain_name}"
}

output "name_servers" {
  description = "The parent zone delegates domain_name to these."
  value       = aws_route53_zone.this.name_servers
}

output "balancer" {
  description = "The balancer's own address, behind domain_name."
  value       = aws_lb.this.dns_name
}

output "registry" {
  description = "Where images are pushed to, without tag or digest."
  value       = aws_ecr_repository.this.repository_url
}

output "artifact_bucket" {
  description = "Where models, updates and SBOMs lie."
  value       = aws_s3_bucket.artifacts.id
}

output "api_keys_secret" {
  description = "The secret that holds the file of hashed API keys."
  value       = aws_secretsmanager_secret.api_keys.name
}

output "publisher" {
  description = "What lets a pipeline publish images and artifacts, and nothing else: an IAM policy to attach to its role."
  value       = aws_iam_policy.publisher.arn
}

output "service" {
  description = "The running service, by the name that the cloud's command line takes."
  value       = aws_ecs_service.this.name
}

output "log_location" {
  description = "Where the service's log is."
  value       = aws_cloudwatch_log_group.service.name
}

output "alarms" {
  description = "Names of the alarms."
  value = sort([
    aws_cloudwatch_metric_alarm.instances.alarm_name,
    aws_cloudwatch_metric_alarm.latency.alarm_name,
    aws_cloudwatch_metric_alarm.memory.alarm_name,
    aws_cloudwatch_metric_alarm.refused.alarm_name,
    aws_cloudwatch_metric_alarm.traffic.alarm_name,
  ])
}

output "budget" {
  description = "The name of the budget."
  value       = aws_budgets_budget.monthly.name
}
