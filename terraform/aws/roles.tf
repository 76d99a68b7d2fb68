# Three identities. What starts the task may pull this image, read this secret and write this log. The service itself
# calls nobody, so its role may do nothing. And a policy for the pipeline that publishes images and artifacts.

locals {
  # Only for our own tasks: ECS must not lend the role to somebody else's (the confused deputy).
  for_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "ecs-tasks.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
    ]
  })

  # A login belongs to the whole registry and takes no other resource.
  log_in = { Sid = "LogInToTheRegistry", Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" }
}

resource "aws_iam_role" "execution" {
  name_prefix        = "${var.name}-start-"
  description        = "Starts tasks of ${var.name}"
  assume_role_policy = local.for_tasks
}

resource "aws_iam_role" "service" {
  name_prefix        = "${var.name}-service-"
  description        = "What ${var.name} itself may do: nothing"
  assume_role_policy = local.for_tasks
}

resource "aws_iam_role_policy" "execution" {
  name = "start"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.log_in,
      {
        Sid      = "PullTheImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = aws_ecr_repository.this.arn
      },
      {
        Sid      = "WriteTheLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.service.arn}:*"
      },
      {
        Sid      = "ReadTheKeys"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = aws_secretsmanager_secret.api_keys.arn
      },
      {
        Sid      = "DecryptThem"
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = aws_kms_key.this.arn
      },
    ]
  })
}

resource "aws_iam_policy" "publisher" {
  name_prefix = "${var.name}-publish-"
  description = "Publishes images and artifacts of ${var.name}: attach it to the pipeline's role"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.log_in,
      {
        Sid    = "PushImages"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload",
          "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = aws_ecr_repository.this.arn
      },
      {
        Sid      = "PutArtifacts"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:GetObject"]
        Resource = "${aws_s3_bucket.artifacts.arn}/*"
      },
      {
        Sid      = "EncryptThem"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = aws_kms_key.this.arn
      },
    ]
  })
}
