# One key for everything at rest: images, artifacts, secrets, logs, alarms.

resource "aws_kms_key" "this" {
  description             = "Everything of ${var.name} at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 7

  # In the policy of a key "*" means this key.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheAccountDecidesWhoMayUseIt"
        Effect    = "Allow"
        Principal = { AWS = "${local.arn}:iam::${local.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "LogsOfThisService"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnEquals = { "kms:EncryptionContext:aws:logs:arn" = "${local.arn}:logs:${local.here}:log-group:/${var.name}/service" }
        }
      },
      {
        Sid       = "AlarmsAndBudgetsWriteToTheTopic"
        Effect    = "Allow"
        Principal = { Service = local.alarming }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name_prefix   = "alias/${var.name}-"
  target_key_id = aws_kms_key.this.key_id
}
