# The file of API keys: hashes only, one JSON object a line (python -m cvprod.serving keys). Terraform makes the secret
# and its first value, which lets nobody in; people and pipelines put the later ones, and no state ever holds them.

resource "aws_secretsmanager_secret" "api_keys" {
  # checkov:skip=CKV2_AWS_57:The keys belong to the callers and are rotated by adding a line, then removing one; a Lambda cannot tell the plant its new key
  name_prefix             = "${var.name}-api-keys-"
  description             = "Hashed API keys of the inspection service"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "api_keys" {
  secret_id                = aws_secretsmanager_secret.api_keys.id
  secret_string_wo         = "# no key yet"
  secret_string_wo_version = 1
}
