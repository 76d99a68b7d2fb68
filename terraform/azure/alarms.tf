# What the contract promises. Azure's metrics know no percentile: latency and refusals are read from the service's own
# log, a line for each request.

resource "azurerm_monitor_action_group" "this" {
  name                = "${var.name}-alarms"
  resource_group_name = azurerm_resource_group.this.name
  short_name          = substr(var.name, 0, 12)
  tags                = local.labels

  email_receiver {
    name                    = "on-call"
    email_address           = var.alert_email
    use_common_alert_schema = true
  }
}

locals {
  requests = <<-EOT
    ContainerAppConsoleLogs_CL
    | where ContainerAppName_s == "${azurerm_container_app.this.name}"
    | extend line = parse_json(Log_s)
    | where line.event == "request" and line.route startswith "/v1/"
  EOT

  # Values over five minutes, from the log.
  by_log = {
    latency = {
      says      = "The contract: 99 of 100 answers within ${local.contract.p99_latency_ms.limit} ms."
      query     = "${local.requests}| summarize value = percentile(todouble(line.ms), 99)"
      threshold = local.contract.p99_latency_ms.limit
    }
    refused = {
      says      = "More than one request in a hundred failed or was refused: squares of the strip that nobody looked at."
      query     = "${local.requests}| summarize value = 100.0 * countif(toint(line.code) >= 500 or toint(line.code) == 429) / count()"
      threshold = 1
    }
  }

  # The platform's own metrics.
  by_metric = {
    instances = {
      says        = "Fewer than ${var.min_instances} instances are ready."
      metric      = "Replicas"
      aggregation = "Minimum"
      operator    = "LessThan"
      threshold   = var.min_instances
      window      = "PT5M"
    }
    traffic = {
      says        = "More requests than the line can make: ${local.contract.tiles_per_s.limit} tiles a second. Somebody else's, and on our bill."
      metric      = "Requests"
      aggregation = "Total"
      operator    = "GreaterThan"
      threshold   = local.contract.tiles_per_s.limit * 300
      window      = "PT5M"
    }
    memory = {
      says        = "The contract: ${local.contract.memory_mb.limit} MB for the whole process."
      metric      = "WorkingSetBytes"
      aggregation = "Maximum"
      operator    = "GreaterThan"
      threshold   = local.contract.memory_mb.limit * 1000000
      window      = "PT5M"
    }
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "this" {
  for_each                = local.by_log
  name                    = "${var.name}-${each.key}"
  resource_group_name     = azurerm_resource_group.this.name
  location                = azurerm_resource_group.this.location
  description             = each.value.says
  scopes                  = [azurerm_log_analytics_workspace.this.id]
  severity                = 1
  evaluation_frequency    = "PT5M"
  window_duration         = "PT5M"
  auto_mitigation_enabled = true
  # The table is there only after the first line of log.
  skip_query_validation = true
  tags                  = local.labels

  criteria {
    query                   = each.value.query
    metric_measure_column   = "value"
    time_aggregation_method = "Maximum"
    operator                = "GreaterThan"
    threshold               = each.value.threshold
  }

  action {
    action_groups = [azurerm_monitor_action_group.this.id]
  }
}

resource "azurerm_monitor_metric_alert" "this" {
  for_each            = local.by_metric
  name                = "${var.name}-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  description         = each.value.says
  scopes              = [azurerm_container_app.this.id]
  severity            = 1
  frequency           = "PT1M"
  window_size         = each.value.window
  tags                = local.labels

  criteria {
    metric_namespace = "Microsoft.App/containerApps"
    metric_name      = each.value.metric
    aggregation      = each.value.aggregation
    operator         = each.value.operator
    threshold        = each.value.threshold
  }

  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}
