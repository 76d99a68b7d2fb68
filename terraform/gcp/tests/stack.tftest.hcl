# terraform test: what the stack promises, with a provider that makes everything up. No account is needed.

mock_provider "google" {}

variables {
  account       = "plant-inspection"
  image         = "registry.example.com/inspection@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  domain_name   = "inspection.example.com"
  allowed_cidrs = ["203.0.113.0/24"]
  alert_email   = "line3@example.com"
}

run "secure" {
  command = plan

  assert {
    condition     = google_storage_bucket.artifacts.versioning[0].enabled && google_storage_bucket.artifacts.public_access_prevention == "enforced"
    error_message = "Artifacts have versions, and are private."
  }

  assert {
    condition     = google_cloud_run_v2_service.this.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" && google_cloud_run_v2_service.this.default_uri_disabled
    error_message = "The only way to the service is the balancer."
  }

  assert {
    condition     = [for rule in google_compute_security_policy.this.rule : rule.action if rule.priority == 2147483647] == ["deny(403)"]
    error_message = "Who is not allowed is refused."
  }

  assert {
    condition     = google_compute_ssl_policy.this.min_tls_version == "TLS_1_2" && google_compute_global_forwarding_rule.https.port_range == "443"
    error_message = "The only door is HTTPS."
  }

  assert {
    condition     = google_secret_manager_secret_version.api_keys.secret_data == null
    error_message = "No secret goes through the state."
  }
}

run "service" {
  command = plan

  assert {
    condition     = tonumber({ for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.name => e.value }["CVPROD_IDLE_SECONDS"]) > google_compute_target_https_proxy.this.http_keep_alive_timeout_sec
    error_message = "The balancer has to close idle connections first."
  }

  assert {
    condition     = local.stop_seconds > local.drain_delay_seconds + local.drain_seconds
    error_message = "An instance is given the time to drain."
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].scaling[0].min_instance_count == 2
    error_message = "Two instances always run."
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
    allowed_cidrs       = [for n in range(23) : "203.0.113.${n}/32"]
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].resources[0].limits == tomap({ cpu = "2", memory = "4Gi" })
    error_message = "Sizes are what the variables say."
  }

  assert {
    condition     = google_cloud_run_v2_service.this.deletion_protection && !google_storage_bucket.artifacts.force_destroy
    error_message = "What is protected is not destroyed."
  }

  assert {
    condition     = google_billing_budget.anomaly[0].amount[0].last_period_amount
    error_message = "Somebody hears of unusual spending."
  }

  assert {
    condition     = length([for rule in google_compute_security_policy.this.rule : rule if rule.action == "allow"]) == 3
    error_message = "Twenty-three networks are three rules of ten at most."
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
