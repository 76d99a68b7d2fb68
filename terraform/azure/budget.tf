# What it may cost a month, and who hears of more. Everything of the stack lies in one resource group, so that is what
# the budget counts.

resource "azurerm_consumption_budget_resource_group" "monthly" {
  name              = var.name
  resource_group_id = azurerm_resource_group.this.id
  amount            = var.monthly_budget
  time_grain        = "Monthly"

  time_period {
    start_date = formatdate("YYYY-MM-01'T'00:00:00Z", plantimestamp())
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 80
    threshold_type = "Actual"
    contact_emails = [var.alert_email]
    contact_groups = [azurerm_monitor_action_group.this.id]
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 100
    threshold_type = "Forecasted"
    contact_emails = [var.alert_email]
    contact_groups = [azurerm_monitor_action_group.this.id]
  }

  # It begins in the month in which it is made, and stays so.
  lifecycle {
    ignore_changes = [time_period]
  }
}

resource "azurerm_cost_anomaly_alert" "this" {
  count           = var.cost_anomaly_alarm ? 1 : 0
  name            = "${var.name}-anomaly"
  display_name    = "${var.name}: unusual spending"
  email_addresses = [var.alert_email]
  email_subject   = "${var.name}: unusual spending"
}
