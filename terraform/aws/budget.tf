# What it may cost a month, and who hears of more. Until the label is known to the bill (cost_anomaly_alarm), the budget
# counts the whole account: an alarm too many is better than a filter that finds nothing.

resource "aws_budgets_budget" "monthly" {
  name         = var.name
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.monthly_budget)
  limit_unit   = "USD"

  dynamic "cost_filter" {
    for_each = aws_ce_cost_allocation_tag.project

    content {
      name   = "TagKeyValue"
      values = ["user:project$${var.name}"]
    }
  }

  notification {
    notification_type          = "ACTUAL"
    comparison_operator        = "GREATER_THAN"
    threshold                  = 80
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = [var.alert_email]
    subscriber_sns_topic_arns  = [aws_sns_topic.alarms.arn]
  }

  notification {
    notification_type          = "FORECASTED"
    comparison_operator        = "GREATER_THAN"
    threshold                  = 100
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = [var.alert_email]
    subscriber_sns_topic_arns  = [aws_sns_topic.alarms.arn]
  }

  depends_on = [aws_sns_topic_policy.alarms]
}

# AWS refuses to activate a label that has not been on a bill yet, which takes up to a day.
resource "aws_ce_cost_allocation_tag" "project" {
  count   = var.cost_anomaly_alarm ? 1 : 0
  tag_key = "project"
  status  = "Active"
}

resource "aws_ce_anomaly_monitor" "this" {
  count        = var.cost_anomaly_alarm ? 1 : 0
  name         = var.name
  monitor_type = "CUSTOM"
  monitor_specification = jsonencode({
    And            = null
    CostCategories = null
    Dimensions     = null
    Not            = null
    Or             = null
    Tags           = { Key = "project", MatchOptions = null, Values = [var.name] }
  })
  depends_on = [aws_ce_cost_allocation_tag.project]
}

resource "aws_ce_anomaly_subscription" "this" {
  count            = var.cost_anomaly_alarm ? 1 : 0
  name             = var.name
  frequency        = "DAILY"
  monitor_arn_list = aws_ce_anomaly_monitor.this[*].arn

  subscriber {
    type    = "EMAIL"
    address = var.alert_email
  }

  # A tenth of the budget more than expected is worth a letter.
  threshold_expression {
    dimension {
      key           = "ANOMALY_TOTAL_IMPACT_ABSOLUTE"
      match_options = ["GREATER_THAN_OR_EQUAL"]
      values        = [tostring(var.monthly_budget / 10)]
    }
  }
}
