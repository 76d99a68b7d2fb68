# One key for everything at rest: images, artifacts, secrets, logs, alarms.

data "aws_iam_policy_document" "key" {
  # checkov:skip=CKV_AWS_109:The policy of a key has to name the account, or nobody could ever change it again
  # checkov:skip=CKV_AWS_111:As above; who may write with it is said by the roles (roles.tf)
  # checkov:skip=CKV_AWS_356:In the policy of a key "*" means this key
  statement {
    sid       = "TheAccountDecidesWhoMayUseIt"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.arn}:iam::${local.account_id}:root"]
    }
  }

  statement {
    sid       = "LogsOfThisService"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["${local.arn}:logs:${local.here}:log-group:/${var.name}/service"]
    }
  }

  statement {
    sid       = "AlarmsAndBudgetsWriteToTheTopic"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "Everything of ${var.name} at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name_prefix   = "alias/${var.name}-"
  target_key_id = aws_kms_key.this.key_id
}
