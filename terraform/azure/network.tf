# The environment stands in a network of ours: in comes the plant, out goes what the platform itself needs, and nothing
# else.

resource "azurerm_virtual_network" "this" {
  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  address_space       = ["10.20.0.0/20"]
  tags                = local.labels
}

resource "azurerm_subnet" "this" {
  name                 = "service"
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = ["10.20.0.0/24"]

  service_endpoint {
    service = "Microsoft.KeyVault"
  }

  delegation {
    name = "container-apps"

    service_delegation {
      name    = "Microsoft.App/environments"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

# Who may talk to whom: name -> direction, and what is not "any". No rule for port 80: a client that sends its key in
# clear text should fail, not be redirected after the fact.
locals {
  inside = azurerm_subnet.this.address_prefixes[0]

  # What Container Apps call: images of the platform and ours, identities, the vault, storage, logs.
  platform = [
    "AzureActiveDirectory", "AzureContainerRegistry", "AzureFrontDoor.FirstParty", "AzureKeyVault", "AzureMonitor",
    "MicrosoftContainerRegistry", "Storage",
  ]

  rules = merge({
    plant   = { direction = "Inbound", priority = 100, sources = var.allowed_cidrs, protocol = "Tcp", ports = ["443", "31443"] }
    probes  = { direction = "Inbound", priority = 110, source = "AzureLoadBalancer", protocol = "Tcp", ports = ["30000-32767"] }
    inside  = { direction = "Inbound", priority = 120, source = local.inside, destination = local.inside }
    rest-in = { direction = "Inbound", priority = 4000, access = "Deny" }

    to-inside = { direction = "Outbound", priority = 100, source = local.inside, destination = local.inside }
    to-names  = { direction = "Outbound", priority = 110, source = local.inside, destination = "168.63.129.16", ports = ["53"] }
    rest-out  = { direction = "Outbound", priority = 4000, access = "Deny" }
    }, {
    for index, service in local.platform : "to-${replace(service, ".", "-")}" => {
      direction = "Outbound", priority = 200 + index, source = local.inside, destination = service, protocol = "Tcp", ports = ["443"]
    }
  })
}

resource "azurerm_network_security_group" "this" {
  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = local.labels
}

resource "azurerm_network_security_rule" "this" {
  for_each                    = local.rules
  name                        = each.key
  resource_group_name         = azurerm_resource_group.this.name
  network_security_group_name = azurerm_network_security_group.this.name
  direction                   = each.value.direction
  priority                    = each.value.priority
  access                      = lookup(each.value, "access", "Allow")
  protocol                    = lookup(each.value, "protocol", "*")
  source_address_prefix       = contains(keys(each.value), "sources") ? null : lookup(each.value, "source", "*")
  source_address_prefixes     = lookup(each.value, "sources", null)
  source_port_range           = "*"
  destination_address_prefix  = lookup(each.value, "destination", "*")
  destination_port_range      = contains(keys(each.value), "ports") ? null : "*"
  destination_port_ranges     = lookup(each.value, "ports", null)
}

resource "azurerm_subnet_network_security_group_association" "this" {
  subnet_id                 = azurerm_subnet.this.id
  network_security_group_id = azurerm_network_security_group.this.id
  depends_on                = [azurerm_network_security_rule.this]
}
