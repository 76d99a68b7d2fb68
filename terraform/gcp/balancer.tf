# TLS ends here, and only the plant's networks get through. The zone, the certificate and the name belong to the stack.

resource "google_dns_managed_zone" "this" {
  name        = var.name
  dns_name    = "${var.domain_name}."
  description = "Delegated to ${var.name}"

  dnssec_config {
    state = "on"
  }

  cloud_logging_config {
    enable_logging = true
  }

  depends_on = [google_project_service.this]
}

resource "google_dns_record_set" "service" {
  managed_zone = google_dns_managed_zone.this.name
  name         = google_dns_managed_zone.this.dns_name
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.this.address]
}

# The certificate is issued as soon as the parent zone delegates: this record is the proof that is asked for.
resource "google_certificate_manager_dns_authorization" "this" {
  name       = var.name
  domain     = var.domain_name
  type       = "FIXED_RECORD"
  depends_on = [google_project_service.this]
}

resource "google_dns_record_set" "authorization" {
  managed_zone = google_dns_managed_zone.this.name
  name         = "_acme-challenge.${google_dns_managed_zone.this.dns_name}"
  type         = "CNAME"
  ttl          = 300
  rrdatas      = google_certificate_manager_dns_authorization.this.dns_resource_record[*].data
}

resource "google_certificate_manager_certificate" "this" {
  name = var.name

  managed {
    domains            = [var.domain_name]
    dns_authorizations = [google_certificate_manager_dns_authorization.this.id]
  }
}

resource "google_certificate_manager_certificate_map" "this" {
  name       = var.name
  depends_on = [google_project_service.this]
}

resource "google_certificate_manager_certificate_map_entry" "this" {
  name         = var.name
  map          = google_certificate_manager_certificate_map.this.name
  hostname     = var.domain_name
  certificates = [google_certificate_manager_certificate.this.id]
}

resource "google_compute_global_address" "this" {
  name       = var.name
  depends_on = [google_project_service.this]
}

resource "google_compute_region_network_endpoint_group" "this" {
  name                  = var.name
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloud_run_v2_service.this.name
  }
}

# A firewall before Google's front ends is the only way to keep others out: requests pass no network of ours.
resource "google_compute_security_policy" "this" {
  # checkov:skip=CKV_GCP_73:The rule against Log4j looks into bodies for Java's lookups; there is no Java here, and the bodies are pictures
  name        = var.name
  description = "The plant's networks, and nobody else"

  # What is not for callers (metrics, the page of the interface) is not there.
  rule {
    action      = "deny(404)"
    priority    = 900
    preview     = false
    description = "What is not for callers"

    match {
      expr {
        expression = "!request.path.matches('^/(v1/|v2$|v2/models/|v2/health/)')"
      }
    }
  }

  # A rule takes ten networks.
  dynamic "rule" {
    for_each = chunklist(var.allowed_cidrs, 10)

    content {
      action      = "allow"
      priority    = 1000 + rule.key
      preview     = false
      description = "The plant"

      match {
        versioned_expr = "SRC_IPS_V1"

        config {
          src_ip_ranges = rule.value
        }
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 2147483647
    preview     = false
    description = "Everybody else"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_compute_backend_service" "this" {
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.this.id

  backend {
    group = google_compute_region_network_endpoint_group.this.id
  }

  log_config {
    enable      = true
    sample_rate = 0.01
  }
}

resource "google_compute_url_map" "this" {
  name            = var.name
  default_service = google_compute_backend_service.this.id
}

resource "google_compute_ssl_policy" "this" {
  name            = var.name
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
  depends_on      = [google_project_service.this]
}

resource "google_compute_target_https_proxy" "this" {
  name                        = var.name
  url_map                     = google_compute_url_map.this.id
  ssl_policy                  = google_compute_ssl_policy.this.id
  certificate_map             = "//certificatemanager.googleapis.com/${google_certificate_manager_certificate_map.this.id}"
  http_keep_alive_timeout_sec = local.balancer_idle_seconds
  depends_on                  = [google_certificate_manager_certificate_map_entry.this]
}

# No rule for port 80: a client that sends its key in clear text should fail, not be redirected after the fact.
resource "google_compute_global_forwarding_rule" "https" {
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this.id
}
