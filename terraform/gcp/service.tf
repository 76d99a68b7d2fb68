# The service on Cloud Run: at least two instances, scaled by CPU and by requests at once, reachable through the balancer
# alone.

resource "google_logging_project_bucket_config" "this" {
  # The project was made for this service, so its default bucket is the service's log.
  project        = data.google_project.this.project_id
  location       = "global"
  bucket_id      = "_Default"
  retention_days = var.log_retention_days
  depends_on     = [google_project_service.this]
}

resource "google_cloud_run_v2_service" "this" {
  name                = var.name
  location            = var.region
  deletion_protection = var.deletion_protection
  ingress             = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"

  # The balancer brings no identity of Google's: who asks is checked by the service itself, by its API keys. Nobody
  # reaches it past the balancer: its own address is off.
  default_uri_disabled = true
  invoker_iam_disabled = true

  template {
    service_account                  = google_service_account.service.email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    max_instance_request_concurrency = 64
    # A camera's stream (WebSocket) is one request to Cloud Run; after an hour the camera connects again.
    timeout = "3600s"

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = google_compute_network.this.id
        subnetwork = google_compute_subnetwork.this.id
      }
    }

    containers {
      name  = "service"
      image = var.image

      ports {
        name           = "http1"
        container_port = local.port
      }

      resources {
        # CPU stays on between requests: batches and streams work then, too.
        cpu_idle          = false
        startup_cpu_boost = true
        limits = {
          cpu    = tostring(var.vcpu)
          memory = "${var.memory_gib}Gi"
        }
      }

      dynamic "env" {
        for_each = local.settings

        content {
          name  = env.key
          value = env.value
        }
      }

      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 60

        http_get {
          path = "/readyz"
          port = local.port
        }
      }

      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 6

        http_get {
          path = "/healthz"
          port = local.port
        }
      }

      volume_mounts {
        name       = "keys"
        mount_path = "/run/keys"
      }
    }

    volumes {
      name = "keys"

      secret {
        secret       = google_secret_manager_secret.api_keys.secret_id
        default_mode = 292 # 0444: the container's user is not the owner

        items {
          path    = "api-keys"
          version = "latest"
        }
      }
    }
  }

  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = 100
  }

  depends_on = [
    google_compute_firewall.nothing_out,
    google_secret_manager_secret_iam_member.service,
    google_secret_manager_secret_version.api_keys,
  ]
}
