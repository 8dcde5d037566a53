"""Invented people and companies, with the letters that real ones have."""

import random

FIRST = ["Ana", "Björn", "Chloé", "Dmytro", "Elif", "Fatima", "Gökhan", "Hanna", "Ivo", "José", "Katarzyna", "Liam", "Mei", "Noor", "Øyvind", "Priya", "Quentin", "Renée", "Søren", "Tomáš", "Ursula", "Vincent", "Władysława", "Ximena", "Yuki", "Zoë", "田中", "Ольга", "Αλέξης", "שרה"]
LAST = ["Almeida", "Brandt", "Çelik", "Dvořák", "Eriksen", "Fernández", "García", "Haddad", "Ibáñez", "Jørgensen", "Kowalska", "Lindqvist", "Müller", "Nguyễn", "O'Brien", "Pérez", "Quintero", "Rossi", "Šimić", "Tanaka", "Ünal", "Vasquez", "Weiß", "Xu", "Yılmaz", "Zając", "美咲", "Иванова", "Παπαδοπούλου", "לוי"]
COMPANIES = ["Ampère", "Bluewater", "Cedar", "Dünen", "Étoile", "Foxglove", "Granit", "Højskole", "Isar", "Juniper", "Kestrel", "Lumière", "Maple", "Nørrebro", "Orchard", "Piñata", "Quarry", "Rivière", "Sakura", "Tundra", "Umbra", "Veld", "Willow", "Xenon", "Yarrow", "Zürisee"]
TRADES = (
    "Analytics",
    "Bakery",
    "Clinic",
    "Design",
    "Energy",
    "Foods",
    "Games",
    "Health",
    "Labs",
    "Logistics",
    "Media",
    "Studio 🌊",
)
DOMAINS = ("example.com", "example.org", "example.net", "mail.example", "work.example")
COUNTRIES = (
    ("US", "Portland", "12 Harbor St", "97201"),
    ("DE", "Köln", "Domstraße 4", "50668"),
    ("FR", "Lyon", "3 rue de la République", "69001"),
    ("JP", "東京", "千代田1-1", "100-0001"),
    ("PL", "Łódź", "Piotrkowska 7", "90-001"),
    ("GB", "Leeds", "8 The Calls", "LS2 7EY"),
)


def invented(chance: random.Random, number: int) -> tuple[str, str]:
    """A name and an e-mail address for the customer with this number."""
    if chance.random() < 0.6:
        company = f"{chance.choice(COMPANIES)} {chance.choice(TRADES)}"
        return company, f"billing{number}@{chance.choice(DOMAINS)}"
    return f"{chance.choice(FIRST)} {chance.choice(LAST)}", f"person{number}@{chance.choice(DOMAINS)}"
