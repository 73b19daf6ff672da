"""Tables of postal codes, states, cities and names, as plain data in folded characters for `reading`.

Source: the postal codes and regions of google/libaddressinput; the rest is common knowledge of each language.
"""

# ruff: noqa: RUF001 - Cyrillic words are meant


def _regions(text: str) -> dict[str, str]:
    """Read `CODE name/other name, …`; spaces in names are left out."""
    regions: dict[str, str] = {}
    for entry in text.replace("\n", " ").split(","):
        code, _, names = entry.strip().partition(" ")
        for name in (code, *names.split("/")):
            regions[name.replace(" ", "").replace("-", "").lower()] = code.lower()
    return regions


# Postal codes

US_POSTED = frozenset("US PR GU VI AS MP FM MH PW".split())
"""Places that people write as countries and as states of the US, and that have ZIP codes."""

CODE_PREFIXES: dict[str, tuple[str, ...]] = {
    "AD": ("ad",),
    "AT": ("a", "at"),
    "BE": ("b", "be"),
    "CH": ("ch",),
    "CZ": ("cz",),
    "DE": ("d", "de"),
    "DK": ("dk",),
    "EE": ("ee",),
    "ES": ("e", "es"),
    "FI": ("fi", "fin"),
    "FR": ("f", "fr"),
    "GR": ("gr",),
    "HR": ("hr",),
    "HU": ("h", "hu"),
    "IT": ("i", "it"),
    "LI": ("fl", "li"),
    "LT": ("lt",),
    "LU": ("l", "lu"),
    "LV": ("lv",),
    "MD": ("md",),
    "NL": ("nl",),
    "NO": ("n", "no"),
    "PL": ("pl",),
    "PT": ("p", "pt"),
    "RO": ("ro",),
    "SE": ("s", "se"),
    "SI": ("si",),
    "SK": ("sk",),
}
"""Prefixes that carriers put before a code; they are removed only if digits follow."""

CODE_PARTS: dict[str, str] = {
    "US": r"(\d{5})(?:\d{4})?",
    "TW": r"(\d{3})(?:\d{2,3})?",
    "AR": r"[a-hj-np-z]?(\d{4})(?:[a-z]{3})?",
}
"""Countries with long and short codes: the part that both have (US: ZIP and ZIP+4)."""

CODE_SETTLES: dict[str, str] = {
    "BR": r"\d{8}",
    "CA": r"[a-z][1-9][a-z]\d[a-z]\d",  # a rural code, with 0, may serve several places
    "GB": r"[a-z]{1,2}\d[a-z\d]?\d[a-z]{2}",
    "IE": r"[a-z]\d[\dw][a-z\d]{4}",
    "JP": r"\d{7}",
    "NL": r"\d{4}[a-z]{2}",
    "PT": r"\d{7}",
    "SG": r"\d{6}",
    "US": r"\d{5}",
}
"""Codes that identify a place so exactly that city and state are not compared."""

NO_CODES = frozenset({"HK", "MO"})
"""Countries without postal codes, whose code is ignored."""

FILLERS = r"0+|9+|na|none|null|nil|x+"
"""Words that people write if a country has no code and a form requires one."""

FILLED_CODES = frozenset({"AE", "QA", "BH", "OM", "KW", "YE"})

# States

STATE_LEFT_OUT = frozenset(
    "AT BE BG BR CH CZ DE DK EE ES FI FR GB GR HR HU IE IT JP LI LT LU LV MC NL NO NZ PL PT RO RS RU SE SG SI SK TR "
    "TW UA".split()
)
"""Countries whose states are not compared: the postal code or the city implies it, or people leave it out."""

STATES: dict[str, dict[str, str]] = {
    "AE": _regions("""AZ abu dhabi/abudhabi/au/ad, AJ ajman, DU dubai/dxb, FU fujairah/al fujairah/fuj,
        RK ras al khaimah/rak, SH sharjah/shj, UQ umm al quwain/uaq"""),
    "AU": _regions("""ACT australian capital territory, NSW new south wales, NT northern territory, QLD queensland,
        SA south australia, TAS tasmania, VIC victoria, WA western australia"""),
    "CA": _regions("""AB alberta, BC british columbia/colombie britannique, MB manitoba,
        NB new brunswick/nouveau brunswick, NL newfoundland and labrador/newfoundland & labrador/
        terre neuve et labrador,
        NS nova scotia/nouvelle ecosse, NT northwest territories/territoires du nord ouest, NU nunavut, ON ontario,
        PE prince edward island/ile du prince edouard, QC quebec, SK saskatchewan, YT yukon/yukon territory"""),
    "IN": _regions("""AN andaman and nicobar islands, AP andhra pradesh, AR arunachal pradesh, AS assam, BR bihar,
        CG chhattisgarh/ct, CH chandigarh, DL delhi/new delhi/nct of delhi, GA goa, GJ gujarat, HP himachal pradesh,
        HR haryana, JH jharkhand, JK jammu and kashmir, KA karnataka, KL kerala, LA ladakh, LD lakshadweep,
        MH maharashtra, ML meghalaya, MN manipur, MP madhya pradesh, MZ mizoram, NL nagaland, OD odisha/orissa/or,
        PB punjab, PY puducherry/pondicherry, RJ rajasthan, SK sikkim, TN tamil nadu, TS telangana/tg, TR tripura,
        UK uttarakhand/ut/uttaranchal, UP uttar pradesh, WB west bengal"""),
    "MX": _regions("""AGU aguascalientes/ags, BCN baja california/bc, BCS baja california sur, CAM campeche/camp,
        CHP chiapas/chis, CHH chihuahua/chih,
        CMX ciudad de mexico/cdmx/distrito federal/df/dif/mexico city,
        COA coahuila/coah/coahuila de zaragoza,
        COL colima, DUR durango/dgo, GUA guanajuato/gto, GRO guerrero, HID hidalgo/hgo, JAL jalisco,
        MEX estado de mexico/edomex/mexico, MIC michoacan/mich/michoacan de ocampo, MOR morelos, NAY nayarit,
        NLE nuevo leon/nl, OAX oaxaca, PUE puebla, QUE queretaro/qro, ROO quintana roo/qroo/q roo,
        SLP san luis potosi, SIN sinaloa, SON sonora, TAB tabasco, TAM tamaulipas/tamps, TLA tlaxcala/tlax,
        VER veracruz/veracruz de ignacio de la llave, YUC yucatan, ZAC zacatecas"""),
}
"""Names and codes of each state, if no other state could be meant."""

# Cities

CITIES: dict[str, str] = {
    "AE": "abu dhabi/abu zabi/أبوظبي, dubai/dubayy/دبي, sharjah/ash shariqah/الشارقة",
    "AT": "wien/vienna/vienne",
    "BE": """brussel/bruxelles/brussels, antwerpen/antwerp/anvers, gent/ghent/gand, brugge/bruges, luik/liege,
        leuven/louvain, mechelen/malines, bergen/mons, namen/namur, doornik/tournai, kortrijk/courtrai""",
    "CH": """zurich/zuerich, geneve/geneva/genf/ginevra, basel/basle/bale, bern/berne/berna, luzern/lucerne,
        biel/bienne, fribourg/freiburg, sion/sitten, neuchatel/neuenburg, st gallen/st gall""",
    "CN": "北京/北京市/beijing/peking, 上海/上海市/shanghai, 广州/广州市/guangzhou/canton, 深圳/深圳市/shenzhen",
    "CO": "bogota/bogota dc/santafe de bogota",
    "CZ": "praha/prague/prag, brno/brunn, plzen/pilsen",
    "DE": """munchen/muenchen/munich, koln/koeln/cologne, nurnberg/nuernberg/nuremberg, hannover/hanover,
        frankfurt/frankfurt am main/frankfurt a m/frankfurt main, dusseldorf/duesseldorf, braunschweig/brunswick""",
    "DK": "kobenhavn/koebenhavn/copenhagen, helsingor/helsingoer/elsinore, arhus/aarhus",
    "EG": "cairo/al qahirah/القاهرة, alexandria/al iskandariyah/الإسكندرية, giza/al jizah/الجيزة",
    "ES": """sevilla/seville, zaragoza/saragossa, palma/palma de mallorca, 
        san sebastian/donostia/donostia san sebastian,
        bilbao/bilbo, vitoria/vitoria gasteiz/gasteiz, pamplona/iruna, alicante/alacant, la coruna/a coruna,
        lleida/lerida, girona/gerona""",
    "FI": """helsinki/helsingfors, turku/abo, tampere/tammerfors, espoo/esbo, vantaa/vanda, vaasa/vasa, porvoo/borga,
        oulu/uleaborg""",
    "GR": """αθηνα/athina/athens/αθηναι, θεσσαλονικη/thessaloniki/salonica/saloniki, πατρα/patra/patras,
        πειραιας/piraeus/pireas""",
    "IN": """bengaluru/bangalore, mumbai/bombay, chennai/madras, kolkata/calcutta, pune/poona, gurugram/gurgaon,
        mysuru/mysore, mangaluru/mangalore, kochi/cochin, thiruvananthapuram/trivandrum, puducherry/pondicherry,
        vadodara/baroda, varanasi/benares, prayagraj/allahabad, kozhikode/calicut, visakhapatnam/vizag,
        new delhi/delhi""",
    "IT": """roma/rome, milano/milan, torino/turin, firenze/florence, venezia/venice, napoli/naples, genova/genoa,
        padova/padua, bolzano/bozen, mantova/mantua, siracusa/syracuse""",
    "KR": """서울/서울시/서울특별시/seoul, 부산/부산시/부산광역시/busan/pusan,
        인천/인천시/인천광역시/incheon, 대구/대구시/대구광역시/daegu,
        대전/대전시/대전광역시/daejeon, 광주/광주광역시/gwangju, 울산/울산광역시/ulsan""",
    "MX": "ciudad de mexico/cdmx/mexico city/mexico df/mexico d f/df",
    "PL": """warszawa/warsaw, krakow/cracow, wroclaw/breslau, gdansk/danzig, lodz, poznan""",
    "PT": "lisboa/lisbon, porto/oporto",
    "RO": "bucuresti/bucharest",
    "RS": "beograd/belgrade/београд",
    "RU": "москва/moscow/moskva, санкт петербург/saint petersburg/st petersburg/с петербург/спб",
    "SA": "riyadh/ar riyad/الرياض, jeddah/jiddah/جدة, makkah/mecca/مكة",
    "SE": "goteborg/gothenburg/goeteborg, malmo/malmoe",
    "TR": "istanbul, izmir/smyrna",
    "TW": """臺北/臺北市/taipei/taipei city,
        新北/新北市/new taipei/new taipei city, 高雄/高雄市/kaohsiung, 臺中/臺中市/taichung""",
    "UA": "киів/kyiv/kiev/киев, одеса/odesa/odessa, львів/lviv/lvov, харків/kharkiv/kharkov",
    "VN": "ho chi minh/ho chi minh city/thanh pho ho chi minh/tp ho chi minh/tphcm/hcmc/saigon, ha noi/hanoi",
}
"""Names of each city in several languages. They are compared only if the postal codes are equal."""

# Letters

_GERMAN = {"ä": "ae", "ö": "oe", "ü": "ue"}
_DANISH = {"å": "aa", "ø": "oe", "ö": "oe", "ä": "ae"}
LETTERS: dict[str, dict[str, str]] = {
    **dict.fromkeys(("DE", "AT", "CH", "LI"), _GERMAN),
    **dict.fromkeys(("DK", "NO", "FO", "GL"), _DANISH),
}
"""Each country's own spelling of its letters on a keyboard without them."""

CYRILLIC = frozenset({"RU", "UA"})
"""Countries whose tables are in Cyrillic. Words that could be Latin or Cyrillic are read as Cyrillic there."""

FAMILY_NAME_FIRST = frozenset({"CN", "HU", "JP", "KR", "TW", "VN"})

TITLES = frozenset("mr mrs ms mx miss dr prof herr frau mme mlle sra srta monsieur madame senor senora".split())
"""Titles, ignored before a full name (libpostal, en/personal_titles). Jr, Sr and II are not among them."""

_SAINTS = ((r"\b(?:saint|sankt|sint|st)\b\.?", "st"), (r"\b(?:sainte|ste)\b\.?", "ste"))
CITY_REWRITES: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys("AT BE CH DE LI LU MC NL".split(), _SAINTS),
    "CN": ((r"(?<=\w\w)市$", ""),),
    "FR": (
        *_SAINTS,
        (r"\b(?:s|sur)\b\s*/?", "sur "),
        (r"\bcedex\b.*$", ""),
        (r"^(paris|lyon|marseille)\s*\d{1,2}\s*(?:er?|e(?:me)?)?\s*(?:arr(?:ondissement)?\.?)?\s*$", r"\1"),
    ),
    "RU": ((r"^\s*(?:г|гор|город)\b\.?\s*", ""),),
    "UA": ((r"^\s*(?:м|місто)\b\.?\s*", ""),),
}

STATE_REWRITES: dict[str, tuple[tuple[str, str], ...]] = {
    "CN": ((r"(?:省|市|壮族自治区|回族自治区|维吾尔自治区|自治区)$", ""),),
    "KR": ((r"(?:특별자치시|특별자치도|특별시|광역시|시)$", ""),),
}

PREFECTURES = (
    "北海道 青森県 岩手県 宮城県 秋田県 山形県 福島県 茨城県 栃木県 群馬県 "
    "埼玉県 千葉県 東京都 神奈川県 新潟県 富山県 石川県 福井県 "
    "山梨県 長野県 岐阜県 静岡県 愛知県 三重県 滋賀県 京都府 大阪府 兵庫県 奈良県 "
    "和歌山県 鳥取県 島根県 岡山県 広島県 山口県 徳島県 香川県 "
    "愛媛県 高知県 福岡県 佐賀県 長崎県 熊本県 大分県 宮崎県 鹿児島県 沖縄県"
).split()
