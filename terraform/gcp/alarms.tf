# What the contract promises, watched where the caller stands: at the balancer.

resource "google_monitoring_notification_channel" "email" {
  display_name = "${var.name} alarms"
  type         = "email"
  labels       = { email_address = var.alert_email }
  depends_on   = [google_project_service.this]
}

locals {
  # Seen by the balancer, and by Cloud Run.
  at_balancer = join(" AND ", [
    "resource.type = \"https_lb_rule\"",
    "resource.labels.forwarding_rule_name = \"${google_compute_global_forwarding_rule.https.name}\"",
  ])
  at_service = join(" AND ", [
    "resource.type = \"cloud_run_revision\"",
    "resource.labels.service_name = \"${google_cloud_run_v2_service.this.name}\"",
  ])

  # What is watched, how it is summed up over a minute and over series, and from where on and how long it is an alarm.
  alarms = {
    latency = {
      says       = "The contract: 99 of 100 answers within ${local.contract.p99_latency_ms.limit} ms."
      filter     = "metric.type = \"loadbalancing.googleapis.com/https/backend_latencies\" AND ${local.at_balancer}"
      aligner    = "ALIGN_PERCENTILE_99"
      reducer    = "REDUCE_MAX"
      comparison = "COMPARISON_GT"
      threshold  = local.contract.p99_latency_ms.limit
      duration   = "300s"
    }
    refused = {
      says       = "More than one request in a hundred failed or was refused: squares of the strip that nobody looked at."
      filter     = "metric.type = \"loadbalancing.googleapis.com/https/request_count\" AND metric.labels.response_code_class = 500 AND ${local.at_balancer}"
      whole      = "metric.type = \"loadbalancing.googleapis.com/https/request_count\" AND ${local.at_balancer}"
      aligner    = "ALIGN_RATE"
      reducer    = "REDUCE_SUM"
      comparison = "COMPARISON_GT"
      threshold  = 0.01
      duration   = "180s"
    }
    instances = {
      says       = "Fewer than ${var.min_instances} instances are ready."
      filter     = "metric.type = \"run.googleapis.com/container/instance_count\" AND ${local.at_service}"
      aligner    = "ALIGN_MAX"
      reducer    = "REDUCE_SUM"
      comparison = "COMPARISON_LT"
      threshold  = var.min_instances
      duration   = "180s"
    }
    traffic = {
      says       = "More requests than the line can make: ${local.contract.tiles_per_s.limit} tiles a second. Somebody else's, and on our bill."
      filter     = "metric.type = \"loadbalancing.googleapis.com/https/request_count\" AND ${local.at_balancer}"
      aligner    = "ALIGN_RATE"
      reducer    = "REDUCE_SUM"
      comparison = "COMPARISON_GT"
      threshold  = local.contract.tiles_per_s.limit
      duration   = "300s"
    }
    memory = {
      says       = "The contract: ${local.contract.memory_mb.limit} MB for the whole process."
      filter     = "metric.type = \"run.googleapis.com/container/memory/utilizations\" AND ${local.at_service}"
      aligner    = "ALIGN_PERCENTILE_99"
      reducer    = "REDUCE_MAX"
      comparison = "COMPARISON_GT"
      # The metric is a share of the instance's memory. The contract's MB are 10^6 bytes.
      threshold = local.contract.memory_mb.limit * 1e6 / (var.memory_gib * pow(2, 30))
      duration  = "300s"
    }
  }
}

resource "google_monitoring_alert_policy" "this" {
  for_each              = local.alarms
  display_name          = "${var.name}-${each.key}"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [google_monitoring_notification_channel.email.id]

  documentation {
    content   = each.value.says
    mime_type = "text/markdown"
  }

  conditions {
    display_name = each.value.says

    condition_threshold {
      filter                  = each.value.filter
      comparison              = each.value.comparison
      threshold_value         = each.value.threshold
      duration                = each.value.duration
      denominator_filter      = lookup(each.value, "whole", null)
      evaluation_missing_data = each.key == "instances" ? "EVALUATION_MISSING_DATA_ACTIVE" : "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
      }

      dynamic "denominator_aggregations" {
        for_each = contains(keys(each.value), "whole") ? [1] : []

        content {
          alignment_period     = "60s"
          per_series_aligner   = each.value.aligner
          cross_series_reducer = each.value.reducer
        }
      }
    }
  }
}
