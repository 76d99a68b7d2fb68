# TLS ends here. The zone, the certificate and the name belong to the stack.

resource "aws_route53_zone" "this" {
  # checkov:skip=CKV2_AWS_38:DNSSEC needs a key in us-east-1 and a DS record at the parent, which somebody else runs: turn it on with them
  # checkov:skip=CKV2_AWS_39:Query logs need a log group in us-east-1, and tell nothing that the balancer's log does not
  name    = var.domain_name
  comment = "Delegated to ${var.name}"
}

resource "aws_acm_certificate" "this" {
  domain_name       = var.domain_name
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

# One name, so one record.
resource "aws_route53_record" "validation" {
  zone_id         = aws_route53_zone.this.zone_id
  name            = join("", aws_acm_certificate.this.domain_validation_options[*].resource_record_name)
  type            = "CNAME"
  records         = aws_acm_certificate.this.domain_validation_options[*].resource_record_value
  ttl             = 300
  allow_overwrite = true
}

# Waits until the parent zone delegates: make the zone first (README), or the apply stands here.
resource "aws_acm_certificate_validation" "this" {
  certificate_arn         = aws_acm_certificate.this.arn
  validation_record_fqdns = [aws_route53_record.validation.fqdn]
}

resource "aws_route53_record" "service" {
  zone_id = aws_route53_zone.this.zone_id
  name    = var.domain_name
  type    = "A"

  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = true
  }
}

resource "aws_lb" "this" {
  # checkov:skip=CKV_AWS_150:var.deletion_protection turns it on; it is off by default so that a trial can be torn down
  # checkov:skip=CKV2_AWS_28:Its rules look for SQL and scripts in the first kilobytes of a body, and here bodies are pictures; only allowed_cidrs can connect, rates are limited by key, and the service refuses hostile files itself (chapter 12)
  # checkov:skip=CKV2_AWS_20:There is no listener on port 80 to redirect from: a key sent in clear text should fail
  name                       = var.name
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = aws_subnet.public[*].id
  security_groups            = [aws_security_group.balancer.id]
  idle_timeout               = local.balancer_idle_seconds
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.deletion_protection

  access_logs {
    bucket  = aws_s3_bucket.logs.id
    prefix  = "balancer"
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_lb_target_group" "this" {
  # checkov:skip=CKV_AWS_378:The service speaks HTTP; between the two security groups nobody else listens, and AWS encrypts traffic between its hosts
  name                          = var.name
  port                          = local.port
  protocol                      = "HTTP"
  vpc_id                        = aws_vpc.this.id
  target_type                   = "ip"
  load_balancing_algorithm_type = "least_outstanding_requests"
  deregistration_delay          = local.drain_delay_seconds + local.drain_seconds

  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.this.certificate_arn

  # What is not for callers (metrics, the page of the interface) is not there.
  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "callers" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 1

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }

  condition {
    path_pattern {
      values = ["/v1/*", "/v2", "/v2/models/*", "/v2/health/*"]
    }
  }
}
