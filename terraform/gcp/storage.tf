# Artifacts (models, updates for the boxes, SBOMs): private, encrypted with a key of ours, versioned, with a life cycle.
# And a second bucket for its access logs.

data "google_storage_project_service_account" "this" {
  depends_on = [google_project_service.this]
}

# A ring of keys can never be deleted: after a destroy, import it before the next apply (README).
resource "google_kms_key_ring" "this" {
  name       = var.name
  location   = var.region
  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "artifacts" {
  # checkov:skip=CKV_GCP_82:prevent_destroy would refuse every destroy, of a trial as well; a key's versions stay for 30 days after it
  name                       = "artifacts"
  key_ring                   = google_kms_key_ring.this.id
  rotation_period            = "7776000s"
  destroy_scheduled_duration = "2592000s"
}

resource "google_kms_crypto_key_iam_member" "storage" {
  crypto_key_id = google_kms_crypto_key.artifacts.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${data.google_storage_project_service_account.this.email_address}"
}

resource "google_storage_bucket" "artifacts" {
  name                        = "${var.account}-${var.name}-artifacts"
  location                    = var.region
  force_destroy               = !var.deletion_protection
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  encryption {
    default_kms_key_name = google_kms_crypto_key.artifacts.id
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = var.artifact_retention_days
    }

    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }

    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  logging {
    log_bucket = google_storage_bucket.logs.name
  }

  depends_on = [google_kms_crypto_key_iam_member.storage]
}

resource "google_storage_bucket" "logs" {
  # checkov:skip=CKV_GCP_62:This is the bucket that access logs go to; logging its own would never end
  # checkov:skip=CKV_GCP_78:Logs are written once and expire; a version of a log is a log that outlives its retention
  name                        = "${var.account}-${var.name}-logs"
  location                    = var.region
  force_destroy               = !var.deletion_protection
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  lifecycle_rule {
    condition {
      age = var.log_retention_days
    }

    action {
      type = "Delete"
    }
  }
}

# Access logs are delivered by this group of Google's.
resource "google_storage_bucket_iam_member" "access_logs" {
  bucket = google_storage_bucket.logs.name
  role   = "roles/storage.objectCreator"
  member = "group:cloud-storage-analytics@google.com"
}
