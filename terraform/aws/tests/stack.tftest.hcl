# terraform test: what the stack promises, with a provider that makes everything up. No account is needed.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  image         = "registry.example.com/inspection@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  domain_name   = "inspection.example.com"
  allowed_cidrs = ["203.0.113.0/24"]
  alert_email   = "line3@example.com"
}

run "secure" {
  command = plan

  assert {
    condition     = aws_s3_bucket_versioning.artifacts.versioning_configuration[0].status == "Enabled"
    error_message = "Artifacts have versions."
  }

  assert {
    condition     = alltrue([for b in [aws_s3_bucket_public_access_block.artifacts, aws_s3_bucket_public_access_block.logs] : b.block_public_acls && b.block_public_policy && b.ignore_public_acls && b.restrict_public_buckets])
    error_message = "No bucket is public."
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" && aws_kms_key.this.enable_key_rotation
    error_message = "A tag is one image for ever; the key is rotated."
  }

  assert {
    condition     = !aws_ecs_service.this.network_configuration[0].assign_public_ip && aws_lb_listener.https.port == 443
    error_message = "Tasks have no public address; the only door is HTTPS."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.api_keys.secret_string == null
    error_message = "No secret goes through the state."
  }
}

run "service" {
  command = plan

  assert {
    condition     = tonumber({ for e in local.containers[1].environment : e.name => e.value }["CVPROD_IDLE_SECONDS"]) > aws_lb.this.idle_timeout
    error_message = "The balancer has to close idle connections first."
  }

  assert {
    condition     = local.containers[1].stopTimeout > local.drain_delay_seconds + local.drain_seconds
    error_message = "A task is given the time to drain."
  }

  assert {
    condition     = alltrue([for c in local.containers : c.readonlyRootFilesystem])
    error_message = "Nothing writes into an image."
  }
}

run "more_of_it" {
  command = plan

  variables {
    vcpu                = 2
    memory_gib          = 4
    max_instances       = 10
    deletion_protection = true
    cost_anomaly_alarm  = true
  }

  assert {
    condition     = aws_ecs_task_definition.this.cpu == "2048" && aws_ecs_task_definition.this.memory == "4096" && aws_appautoscaling_target.this.max_capacity == 10
    error_message = "Sizes are what the variables say."
  }

  assert {
    condition     = aws_lb.this.enable_deletion_protection && !aws_s3_bucket.artifacts.force_destroy && !aws_ecr_repository.this.force_delete
    error_message = "What is protected is not destroyed."
  }

  assert {
    condition     = length(aws_ce_anomaly_monitor.this) == 1 && tolist(aws_ce_anomaly_subscription.this[0].subscriber)[0].address == "line3@example.com"
    error_message = "Somebody hears of unusual spending."
  }

  assert {
    condition     = tolist(aws_budgets_budget.monthly.cost_filter)[0].name == "TagKeyValue"
    error_message = "With the label known, the budget counts this project alone."
  }
}

run "refuses_a_moving_tag" {
  command         = plan
  expect_failures = [var.image]

  variables {
    image = "registry.example.com/inspection:latest"
  }
}

run "refuses_an_open_door_by_mistake" {
  command         = plan
  expect_failures = [var.allowed_cidrs]

  variables {
    allowed_cidrs = []
  }
}

run "refuses_one_instance" {
  command         = plan
  expect_failures = [var.min_instances]

  variables {
    min_instances = 1
  }
}
