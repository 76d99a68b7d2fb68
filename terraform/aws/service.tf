# The service on Fargate: at least two tasks in two zones, replaced one by one, rolled back when the new ones do not get
# ready, scaled by CPU.

resource "aws_cloudwatch_log_group" "service" {
  # checkov:skip=CKV_AWS_338:Retention is a variable; 30 days is what the data-protection concept allows, a year would be more than anybody needs
  name              = "/${var.name}/service"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

locals {
  log_options = {
    awslogs-group         = aws_cloudwatch_log_group.service.name
    awslogs-region        = var.region
    awslogs-stream-prefix = "service"
    # A slow log costs lines of log, never requests.
    mode            = "non-blocking"
    max-buffer-size = "25m"
  }

  # Volumes belong to root, and the service does not run as root: this one second before it opens /tmp and writes the
  # keys where only the service's group can read them.
  prepare = <<-EOT
    import os, pathlib
    os.chmod("/tmp", 0o1777)
    keys = pathlib.Path("/run/keys/api-keys")
    keys.write_text(os.environ["API_KEYS"])
    os.chown(keys, 0, 10001)
    os.chmod(keys, 0o440)
  EOT

  alive = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:${local.port}/healthz', timeout=2)"

  containers = [
    {
      name                   = "prepare"
      image                  = var.image
      essential              = false
      user                   = "0"
      readonlyRootFilesystem = true
      command                = ["python3", "-c", local.prepare]
      secrets                = [{ name = "API_KEYS", valueFrom = aws_secretsmanager_secret.api_keys.arn }]
      mountPoints = [
        { sourceVolume = "tmp", containerPath = "/tmp" },
        { sourceVolume = "keys", containerPath = "/run/keys" },
      ]
      logConfiguration = { logDriver = "awslogs", options = local.log_options }
    },
    {
      name                   = "service"
      image                  = var.image
      essential              = true
      readonlyRootFilesystem = true
      stopTimeout            = local.stop_seconds
      dependsOn              = [{ containerName = "prepare", condition = "SUCCESS" }]
      portMappings           = [{ containerPort = local.port, protocol = "tcp" }]
      environment            = [for name, value in local.settings : { name = name, value = value }]
      linuxParameters        = { capabilities = { drop = ["ALL"] }, initProcessEnabled = true }
      mountPoints = [
        { sourceVolume = "tmp", containerPath = "/tmp" },
        { sourceVolume = "keys", containerPath = "/run/keys", readOnly = true },
      ]
      healthCheck      = { command = ["CMD", "python3", "-c", local.alive], interval = 10, timeout = 5, retries = 6, startPeriod = 60 }
      logConfiguration = { logDriver = "awslogs", options = local.log_options }
    },
  ]
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.vcpu * 1024
  memory                   = var.memory_gib * 1024
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.service.arn
  container_definitions    = jsonencode(local.containers)

  runtime_platform {
    # The INT8 model was made for, and judged on, this kind of CPU.
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }

  volume {
    name = "tmp"
  }

  volume {
    name = "keys"
  }
}

resource "aws_ecs_service" "this" {
  name                               = var.name
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this.arn
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  desired_count                      = var.min_instances
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  propagate_tags                     = "SERVICE"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = aws_subnet.private[*].id
    security_groups  = [aws_security_group.service.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "service"
    container_port   = local.port
  }

  # The autoscaler decides how many; an apply must not undo it.
  lifecycle {
    ignore_changes = [desired_count]
  }

  # A task needs all of these to start; a destroy takes them away only after it.
  depends_on = [
    aws_lb_listener_rule.callers,
    aws_iam_role_policy.execution,
    aws_secretsmanager_secret_version.api_keys,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_route_table_association.private,
    aws_vpc_security_group_egress_rule.service_to_endpoints,
    aws_vpc_security_group_egress_rule.service_to_s3,
    aws_vpc_security_group_ingress_rule.endpoints_from_service,
  ]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.min_instances
  max_capacity       = var.max_instances
}

resource "aws_appautoscaling_policy" "cpu" {
  name               = "${var.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    # Chapter 5: above this share of its capacity a queue, and with it p99, grows steeply.
    target_value       = 60
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
