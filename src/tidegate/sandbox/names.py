"""Invented people and companies, with the letters that real ones have."""

import random
import re
import unicodedata

FIRST = [
    "Ana",
    "Björn",
    "Chloé",
    "Dmytro",
    "Elif",
    "Fatima",
    "Gökhan",
    "Hanna",
    "Ivo",
    "José",
    "Katarzyna",
    "Liam",
    "Mei",
    "Noor",
    "Øyvind",
    "Priya",
    "Quentin",
    "Renée",
    "Søren",
    "Tomáš",
    "Ursula",
    "Vincent",
    "Władysława",
    "Ximena",
    "Yuki",
    "Zoë",
    "田中",
    "Ольга",
    "Αλέξης",
    "שרה",
]
LAST = [
    "Almeida",
    "Brandt",
    "Çelik",
    "Dvořák",
    "Eriksen",
    "Fernández",
    "García",
    "Haddad",
    "Ibáñez",
    "Jørgensen",
    "Kowalska",
    "Lindqvist",
    "Müller",
    "Nguyễn",
    "O'Brien",
    "Pérez",
    "Quintero",
    "Rossi",
    "Šimić",
    "Tanaka",
    "Ünal",
    "Vasquez",
    "Weiß",
    "Xu",
    "Yılmaz",
    "Zając",
    "美咲",
    "Иванова",
    "Παπαδοπούλου",
    "לוי",
]
COMPANIES = [
    "Ampère",
    "Bluewater",
    "Cedar",
    "Dünen",
    "Étoile",
    "Foxglove",
    "Granit",
    "Højskole",
    "Isar",
    "Juniper",
    "Kestrel",
    "Lumière",
    "Maple",
    "Nørrebro",
    "Orchard",
    "Piñata",
    "Quarry",
    "Rivière",
    "Sakura",
    "Tundra",
    "Umbra",
    "Veld",
    "Willow",
    "Xenon",
    "Yarrow",
    "Zürisee",
]
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
FREE_MAIL = ("gmail.com", "googlemail.com")
"""Providers whose addresses say nothing about a company. They allow no underscore in a name, so that an invented
address with one is nobody's."""
COUNTRIES = (
    ("US", "Portland", "12 Harbor St", "97201"),
    ("DE", "Köln", "Domstraße 4", "50668"),
    ("FR", "Lyon", "3 rue de la République", "69001"),
    ("JP", "東京", "千代田1-1", "100-0001"),
    ("PL", "Łódź", "Piotrkowska 7", "90-001"),
    ("GB", "Leeds", "8 The Calls", "LS2 7EY"),
)


def invented(chance: random.Random, key: str) -> tuple[str, str]:
    """A name and an e-mail address for the customer with this number: a company has a domain of its own, a person in
    half of the cases one at a free-mail provider."""
    if chance.random() < 0.6:
        return company(chance, key)
    return person(chance, key, free_mail=chance.random() < 0.5)


def company(chance: random.Random, key: str) -> tuple[str, str]:
    """A company's name and its address for bills."""
    first, trade = chance.choice(COMPANIES), chance.choice(TRADES)
    return f"{first} {trade}", f"billing@{domain(first, trade, key)}"


def colleague(chance: random.Random, team: str, key: str) -> tuple[str, str]:
    """A department of a company of which several are customers, with one domain; `chance` must be the company's."""
    first, trade = chance.choice(COMPANIES), chance.choice(TRADES)
    return f"{first} {trade}, {team}", f"{team.lower()}@{domain(first, trade, key)}"


def person(chance: random.Random, key: str, *, free_mail: bool) -> tuple[str, str]:
    """A person's name and address, at a free-mail provider or at a domain of their own."""
    name = f"{chance.choice(FIRST)} {chance.choice(LAST)}"
    if free_mail:
        return name, f"person_{key}@{chance.choice(FREE_MAIL)}"
    return name, f"me@person-{plain(key)}.example"


def domain(first: str, trade: str, key: str) -> str:
    """A company's own domain, for example `cedar-labs-17.example`; nobody can register one that ends so (RFC 2606)."""
    return f"{plain(f'{first} {trade} {key}')}.example"


def plain(text: str) -> str:
    """Text as it can stand in a domain: `Étoile Studio 🌊 7` becomes `etoile-studio-7`."""
    latin = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", latin))
