"""What is known about addresses of single countries, as plain data for `places`. Everything is in folded characters.

Sources: USPS Publication 28 (appendices B, C1, C2), Canada Post's addressing guidelines, Australia's AS 4590, the
postal codes and regions of google/libaddressinput, the street types and unit types of openvenues/libpostal.
"""


def _classes(text: str) -> dict[str, str]:
    """Read one class a line: the first word names it, all words of the line are one."""
    lines = [line.split() for line in text.strip().splitlines()]
    return {word: line[0].upper() for line in lines for word in line}


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
"""They are written as countries and as states of the US, and have ZIP codes."""

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
"""Prefixes that carriers put before a code; they count as one only where digits follow."""

CODE_PARTS: dict[str, str] = {
    "US": r"(\d{5})(?:\d{4})?",
    "TW": r"(\d{3})(?:\d{2,3})?",
    "AR": r"[a-hj-np-z]?(\d{4})(?:[a-z]{3})?",
}
"""Where a code is long and short, the part that both have (US: ZIP and ZIP+4)."""

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
"""Codes so fine that city and state need not agree."""

NO_CODES = frozenset({"HK", "MO"})
"""There are no postal codes, so whatever stands there fills a field."""

FILLERS = r"0+|9+|na|none|null|nil|x+"
"""What people write where a country has no code and a form wants one."""

FILLED_CODES = frozenset({"AE", "QA", "BH", "OM", "KW", "YE"})

# States

STATE_LEFT_OUT = frozenset(
    "AT BE BG BR CH CZ DE DK EE ES FI FR GB GR HR HU IE IT JP LI LT LU LV MC NL NO NZ PL PT RO RS RU SE SG SI SK TR "
    "TW UA".split()
)
"""The postal code or the city says it, or nobody writes one."""

STATES: dict[str, dict[str, str]] = {
    "AE": _regions("""AZ abu dhabi/abudhabi/au/ad, AJ ajman, DU dubai/dxb, FU fujairah/al fujairah/fuj,
        RK ras al khaimah/rak, SH sharjah/shj, UQ umm al quwain/uaq"""),
    "AU": _regions("""ACT australian capital territory, NSW new south wales, NT northern territory, QLD queensland,
        SA south australia, TAS tasmania, VIC victoria, WA western australia"""),
    "CA": _regions("""AB alberta, BC british columbia/colombie britannique, MB manitoba,
        NB new brunswick/nouveau brunswick, NL newfoundland and labrador/newfoundland & labrador/terre neuve et labrador,
        NS nova scotia/nouvelle ecosse, NT northwest territories/territoires du nord ouest, NU nunavut, ON ontario,
        PE prince edward island/ile du prince edouard, QC quebec, SK saskatchewan, YT yukon/yukon territory"""),
    "IN": _regions("""AN andaman and nicobar islands, AP andhra pradesh, AR arunachal pradesh, AS assam, BR bihar,
        CG chhattisgarh/ct, CH chandigarh, DL delhi/new delhi/nct of delhi, GA goa, GJ gujarat, HP himachal pradesh,
        HR haryana, JH jharkhand, JK jammu and kashmir, KA karnataka, KL kerala, LA ladakh, LD lakshadweep,
        MH maharashtra, ML meghalaya, MN manipur, MP madhya pradesh, MZ mizoram, NL nagaland, OD odisha/orissa/or,
        PB punjab, PY puducherry/pondicherry, RJ rajasthan, SK sikkim, TN tamil nadu, TS telangana/tg, TR tripura,
        UK uttarakhand/ut/uttaranchal, UP uttar pradesh, WB west bengal"""),
    "MX": _regions("""AGU aguascalientes/ags, BCN baja california/bc, BCS baja california sur, CAM campeche/camp,
        CHP chiapas/chis, CHH chihuahua/chih, CMX ciudad de mexico/cdmx/distrito federal/df/dif/mexico city, COA coahuila/coah/coahuila de zaragoza,
        COL colima, DUR durango/dgo, GUA guanajuato/gto, GRO guerrero, HID hidalgo/hgo, JAL jalisco,
        MEX estado de mexico/edomex/mexico, MIC michoacan/mich/michoacan de ocampo, MOR morelos, NAY nayarit,
        NLE nuevo leon/nl, OAX oaxaca, PUE puebla, QUE queretaro/qro, ROO quintana roo/qroo/q roo,
        SLP san luis potosi, SIN sinaloa, SON sonora, TAB tabasco, TAM tamaulipas/tamps, TLA tlaxcala/tlax,
        VER veracruz/veracruz de ignacio de la llave, YUC yucatan, ZAC zacatecas"""),
}
"""Names and codes of one state, where no other state could be meant."""

# Cities

CITIES: dict[str, str] = {
    "AE": "abu dhabi/abu zabi/أبوظبي, dubai/dubayy/دبي, sharjah/ash shariqah/الشارقة",
    "AT": "wien/vienna/vienne",
    "BE": """brussel/bruxelles/brussels, antwerpen/antwerp/anvers, gent/ghent/gand, brugge/bruges, luik/liege,
        leuven/louvain, mechelen/malines, bergen/mons, namen/namur, doornik/tournai, kortrijk/courtrai""",
    "CH": """zurich/zuerich, geneve/geneva/genf/ginevra, basel/basle/bale, bern/berne/berna, luzern/lucerne,
        biel/bienne, fribourg/freiburg, sion/sitten, neuchatel/neuenburg, st gallen/sankt gallen/saint gall""",
    "CN": "北京/北京市/beijing/peking, 上海/上海市/shanghai, 广州/广州市/guangzhou/canton, 深圳/深圳市/shenzhen",
    "CO": "bogota/bogota dc/santafe de bogota",
    "CZ": "praha/prague/prag, brno/brunn, plzen/pilsen",
    "DE": """munchen/muenchen/munich, koln/koeln/cologne, nurnberg/nuernberg/nuremberg, hannover/hanover,
        frankfurt/frankfurt am main/frankfurt a m/frankfurt main, dusseldorf/duesseldorf, braunschweig/brunswick""",
    "DK": "kobenhavn/koebenhavn/copenhagen, helsingor/helsingoer/elsinore, arhus/aarhus",
    "EG": "cairo/al qahirah/القاهرة, alexandria/al iskandariyah/الإسكندرية, giza/al jizah/الجيزة",
    "ES": """sevilla/seville, zaragoza/saragossa, palma/palma de mallorca, san sebastian/donostia/donostia san sebastian,
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
    "KR": """서울/서울시/서울특별시/seoul, 부산/부산시/부산광역시/busan/pusan, 인천/인천시/인천광역시/incheon, 대구/대구시/대구광역시/daegu,
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
    "TW": "臺北/臺北市/taipei/taipei city, 新北/新北市/new taipei/new taipei city, 高雄/高雄市/kaohsiung, 臺中/臺中市/taichung",
    "UA": "киів/kyiv/kiev/киев, одеса/odesa/odessa, львів/lviv/lvov, харків/kharkiv/kharkov",
    "VN": "ho chi minh/ho chi minh city/thanh pho ho chi minh/tp ho chi minh/tphcm/hcmc/saigon, ha noi/hanoi",
}
"""Names of one city in several languages. They meet only under an equal postal code."""

# Letters

_GERMAN = {"ä": "ae", "ö": "oe", "ü": "ue"}
_DANISH = {"å": "aa", "ø": "oe", "ö": "oe", "ä": "ae"}
LETTERS: dict[str, dict[str, str]] = {
    **dict.fromkeys(("DE", "AT", "CH", "LI"), _GERMAN),
    **dict.fromkeys(("DK", "NO", "FO", "GL"), _DANISH),
}
"""How a country itself writes its letters where they are missing."""

CYRILLIC = frozenset({"RU", "UA"})
"""Where the tables are in Cyrillic, so that words which could be Latin are read as Cyrillic."""

FAMILY_NAME_FIRST = frozenset({"CN", "HU", "JP", "KR", "TW", "VN"})

TITLES = frozenset("mr mrs ms mx miss dr prof herr frau mme mlle sra srta monsieur madame senor senora".split())
"""Said before a name, they say nothing where a full name follows (libpostal, en/personal_titles). Not Jr, Sr, II."""

# Streets where English is written

ENGLISH = frozenset("US CA GB AU IE NZ ZA IM JE GG IN SG".split())

ENGLISH_WORDS = _classes("""
    alley aly ally
    avenue ave av aven avn avenu
    beach bch
    bend bnd
    boulevard blvd boul bvd blv
    bridge brg
    broadway bdwy
    bypass byp
    causeway cswy
    center ctr centre cntr
    circle cir circ crcl
    close
    corner cor
    court ct crt
    cove cv
    creek crk
    crescent cres cresc crsnt
    crossing xing crssng
    drive dr drv doctor
    expressway expy expwy
    extension ext extn
    field fld
    fort ft
    freeway fwy frwy
    garden gdn
    gardens gdns
    glen gln
    green grn
    grove grv gro
    harbor hbr harbour
    heights hts
    highway hwy hiway hway
    hills hls
    hollow holw
    industrial ind
    junction jct jctn
    lake lk
    landing lndg
    lane ln
    lower lwr
    manor mnr
    meadow mdw
    meadows mdws
    mount mt mnt
    mountain mtn
    orchard orch
    parade pde
    park pk
    parkway pkwy pky parkwy
    place pl
    plaza plz
    point pt pnt
    ranch rnch
    ridge rdg
    road rd
    route rte
    sainte ste suite
    spring spg
    springs spgs
    square sq sqr
    station stn sta
    street st str saint strt
    terrace ter terr tce
    trace trce
    track trk
    trail trl
    turnpike tpke trnpk
    valley vly
    view vw
    village vlg
    vista vis
    walk wlk
    way wy
""")
"""One word in several spellings, wherever it stands: `St` may be Street or Saint, but no two places differ by which."""

ENGLISH_WORDS_OF: dict[str, dict[str, str]] = {
    "AU": _classes("circuit cct\nesplanade esp\nboulevarde boulevard blvd bvd boul"),
    "GB": _classes("close cl"),
    "IE": _classes("close cl"),
    "NZ": _classes("close cl"),
    "CA": _classes("chemin ch"),
}

DIRECTIONS = _classes("""
    n north
    s south
    e east
    w west
    ne northeast
    nw northwest
    se southeast
    sw southwest
""")
FRENCH_DIRECTIONS = _classes("""
    n nord north
    s sud south
    e est east
    w ouest o west
""")
NAMED_AFTER = frozenset({"STREET", "BOULEVARD", "AVENUE"})
"""Street types that French writes before the name, English after it."""
FRENCH_TYPES = {"rue": "STREET", "boul": "BOULEVARD", "boulevard": "BOULEVARD", "bd": "BOULEVARD", "av": "AVENUE"} | {
    "ave": "AVENUE",
    "avenue": "AVENUE",
}

ORDINALS = dict(
    zip(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(),
        "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th".split(),
        strict=True,
    )
)

_UNITS = _classes("""
    bldg building
    dept department
    fl floor flr
    hngr hangar
    lot
    pmb
    rm room
    spc space
    trlr trailer
""")
UNITS: dict[str, dict[str, str]] = {
    "US": _UNITS | _classes("unit apt apartment apmt ste suite #"),
    "CA": _UNITS | _classes("unit apt apartment app appartement ste suite bureau #"),
    "AU": _UNITS | _classes("unit apt apartment flat u #\nshop\nlevel lvl\nsuite ste\nvilla"),
    "NZ": _UNITS | _classes("unit apt apartment flat #\nshop\nlevel lvl\nsuite ste"),
    "GB": _classes("flat flt apartment apt\nunit\nfl floor flr\nroom rm\nsuite ste\nstudio"),
    "IE": _classes("flat flt apartment apt\nunit\nfl floor flr\nroom rm\nsuite ste\nstudio"),
}
"""Words before the number of what lies inside a house (Publication 28, 213: `#` stands for any)."""

# Streets elsewhere

WORDS: dict[str, dict[str, str]] = {
    "AE": _classes("road rd\nstreet st\nbuilding bldg\nvilla"),
    "AR": _classes("avenida av avda\ncalle\ndpto departamento depto\npiso"),
    "BE": _classes("bus bte boite box\nrue r\navenue av ave\nboulevard bd boul blvd\nplace pl\nchaussee chee"),
    "BR": _classes("""avenida av
        apto ap apt apartamento
        bloco bl
        travessa tv trav
        alameda al
        praca pca pc
        rodovia rod
        estrada estr
        conjunto cj conj
        quadra qd
        lote lt"""),
    "CH": _classes("rue r\navenue av ave\nplatz pl\nchemin ch"),
    "CL": _classes("avenida av avda\ndepto departamento dpto"),
    "CO": _classes("""calle cl cll
        carrera cra kr kra cr
        diagonal dg diag
        transversal tv tr transv
        avenida av avda
        apto apartamento apt ap
        torre
        interior int"""),
    "CZ": _classes("namesti nam\ntrida tr"),
    "DE": _classes("platz pl\nhinterhaus hh\nvorderhaus vh\nseitenfluegel sf"),
    "DK": _classes("stuen st"),
    "EG": _classes("street st\nroad rd"),
    "ES": _classes("""avenida av avda avd
        plaza pza plza pl
        paseo pso
        carretera ctra
        izquierda izq izqda izda
        derecha dcha der drcha
        escalera esc
        puerta pta
        urbanizacion urb
        apartamento apto apt
        poligono pol
        travesia trav"""),
    "FR": _classes("""boulevard bd boul bld blvd
        avenue av ave
        saint st
        sainte ste
        place pl
        allee all
        chemin ch che chem
        impasse imp
        route rte
        faubourg fg fbg
        square sq
        batiment bat
        escalier esc
        appartement appt apt app
        residence res
        lotissement lot"""),
    "HU": _classes("utca u\nkorut krt\nemelet em\nfoldszint fsz fszt"),
    "ID": _classes("jalan jl jln"),
    "IT": _classes("""viale vle
        piazza pza
        corso cso
        largo lgo
        interno int
        scala sc
        localita loc
        strada str"""),
    "KE": _classes("road rd\nstreet st\navenue ave"),
    "MX": _classes("""avenida av avda
        calle c
        colonia col
        interior int
        exterior ext
        boulevard blvd bulevar
        calzada calz
        departamento depto dpto dep
        manzana mz mza
        lote lt
        fraccionamiento fracc"""),
    "MY": _classes("jalan jl jln"),
    "NO": _classes("gate gt"),
    "PH": _classes("street st\navenue ave\nroad rd\nbarangay brgy"),
    "PL": _classes("aleja al aleje\nplac pl\nosiedle os"),
    "PT": _classes("""avenida av
        travessa tv trav
        praca pca
        largo lgo
        estrada estr
        direito dto
        esquerdo esq
        apartamento apto ap apt
        bloco bl"""),
    "RU": _classes("""улица ул
        проспект пр просп прт пркт
        переулок пер
        площадь пл
        бульвар бр бул
        шоссе ш
        набережная наб
        проезд прд
        корпус корп к
        строение стр
        квартира кв
        литера лит литер
        микрорайон мкр"""),
    "SA": _classes("street st\nroad rd\nbuilding bldg"),
    "SE": _classes("lgh lagenhet"),
    "TR": _classes("""mahallesi mah mh mahalle
        sokak sok sk sokagi
        caddesi cad cd cadde
        bulvari bulv blv bulvar bul
        apartmani apt apartman ap
        daire d
        kat k"""),
    "UA": _classes("""вулиця вул
        проспект пр просп прт
        провулок пров
        площа пл
        бульвар бр бул
        корпус корп к
        квартира кв"""),
}

FIRST_WORDS: dict[str, dict[str, str]] = {
    "AR": _classes("calle c"),
    "BR": _classes("rua r"),
    "CL": _classes("calle c"),
    "ES": _classes("calle c cl"),
    "FR": _classes("rue r"),
    "IT": _classes("via v"),
    "PT": _classes("rua r"),
}
"""Words that are short for something only at the start of a line, or right after the number there."""

DROPPED: dict[str, frozenset[str]] = {
    "PL": frozenset({"ul", "ulica"}),
    "RU": frozenset({"д", "дом"}),
    "UA": frozenset({"буд", "будинок"}),
    "DK": frozenset({"sal"}),
}
"""Words that may be left out."""

TYPES_ANYWHERE: dict[str, frozenset[str]] = {
    "RU": frozenset({"УЛИЦА", "ПРОСПЕКТ", "ПЕРЕУЛОК", "ПЛОЩАДЬ", "БУЛЬВАР", "ШОССЕ", "НАБЕРЕЖНАЯ", "ПРОЕЗД"}),
    "UA": frozenset({"ВУЛИЦЯ", "ПРОСПЕКТ", "ПРОВУЛОК", "ПЛОЩА", "БУЛЬВАР"}),
}
"""Street types that stand before the name or after it."""

_NUMBER_WORD = r"\b(?:nr|no|num|numero|number|№|n°|n\.\s*o)\s*[.:]{0,2}\s*(?=\d)"
_NUMBERED = (_NUMBER_WORD, " ")
_AL = (r"\b(?:al|el|ال)[\s-]+(?=[^\W\d])", "al")

REWRITES: dict[str, tuple[tuple[str, str], ...]] = {
    "AE": (_AL,),
    "AR": (_NUMBERED,),
    "AT": (
        (r"(?:strasse|str)(?![^\W\d_])", "str"),
        (r"(\d[a-z]?)[\s,]*\b(?:stiege|stg)\.?\s*(\d+)[\s,]*\b(?:tuer|tur|top)\.?\s*(\d+)", r"\1/\2/\3"),
        (r"(\d[a-z]?)[\s,]*\b(?:tuer|tur|top)\.?\s*(\d+)", r"\1/\2"),
        _NUMBERED,
    ),
    "BE": ((r"\bbus\b|\bbte\b|\bboite\b|(?<=\d)\s+b\s*(?=\d)", " bus "), _NUMBERED),
    "BR": (_NUMBERED,),
    "CH": ((r"(?:strasse|str)(?![^\W\d_])", "str"), _NUMBERED),
    "CL": (_NUMBERED,),
    "CN": ((r"(\d+)\s*(?:号楼|栋|幢|座)\s*(\d+)\s*单元\s*(\d+)\s*[室号]?", r" \1-\2-\3 "), (r"(?<=\d)[号號](?!楼)", " ")),
    "CO": (_NUMBERED,),
    "DE": ((r"(?:strasse|str)(?![^\W\d_])", "str"), _NUMBERED),
    "EG": (_AL,),
    "ES": (
        (r"\bc/", "c "),
        (r"\bp[oº]\.?\s+de\b", "paseo de"),
        _NUMBERED,
    ),
    "FR": ((r"\bn[o°]\s*\.?\s*(?=\d)", " "),),
    "GB": ((r"^\s*no\.?\s*(?=\d)", ""),),
    "HU": (
        (r"\biii\b\.?\s*em", "3 em"),
        (r"\bii\b\.?\s*em", "2 em"),
        (r"\biv\b\.?\s*em", "4 em"),
        (r"\bv\b\.?\s*em", "5 em"),
        (r"\bi\b\.?\s*em", "1 em"),
    ),
    "ID": (_NUMBERED,),
    "IE": ((r"^\s*no\.?\s*(?=\d)", ""), (r"\bdublin\s+\d+w?\b", " ")),
    "IN": ((r"\bno\s*[.:]?\s*(?=\d)", " "),),
    "IT": (
        (r"\bp\.\s*z?za\b", "piazza "),
        (r"\bc\.\s*so\b", "corso "),
        (r"\bv\.\s*le\b", "viale "),
        (r"\bl\.\s*go\b", "largo "),
        _NUMBERED,
    ),
    "JP": (
        (r"一(?=丁目)", "1"),
        (r"二(?=丁目)", "2"),
        (r"三(?=丁目)", "3"),
        (r"四(?=丁目)", "4"),
        (r"五(?=丁目)", "5"),
        (r"六(?=丁目)", "6"),
        (r"七(?=丁目)", "7"),
        (r"八(?=丁目)", "8"),
        (r"九(?=丁目)", "9"),
        (r"(?<=\d)\s*丁目\s*", "-"),
        (r"(?<=\d)\s*-?\s*chome\b\s*-?\s*", "-"),
        (r"(?<=\d)\s*番地?\s*の?\s*(?=\d)", "-"),
        (r"(?<=\d)\s*番地?(?![町館街])", " "),
        (r"(?<=\d)\s*号室", " "),
        (r"(?<=\d)\s*号(?![棟館車])", " "),
        (r"(?<=\d)\s*[のノ]\s*(?=\d)", "-"),
    ),
    "KR": ((r"(\d+)\s*동\s*(\d+)\s*호", r" \1-\2 "),),
    "MX": (_NUMBERED,),
    "NL": (
        (r"(?:straat|str)(?![^\W\d_])", "str"),
        (r"(?<=\d)[\s/-]+iv\b", " 4"),
        (r"(?<=\d)[\s/-]+iii\b", " 3"),
        (r"(?<=\d)[\s/-]+ii\b", " 2"),
        (r"(?<=\d)[\s/-]+i\b", " 1"),
        (r"(?<=\d)[\s/-]+(?=\d)", " "),
        (r"\bnr\.?\s*(?=\d)", " "),
    ),
    "PL": (_NUMBERED, (r"(\d[a-z]?)\s*,?\s*\b(?:m|mieszk|mieszkanie)\.?\s*(\d)", r"\1/\2")),
    "PT": (_NUMBERED,),
    "RU": (
        (r"\bпр-(?:кт|т)\b", "пр"),
        (r"\bб-р\b", "бр"),
        (r"(\d[а-я]?)\s*,?\s*\b(?:кв|квартира)\.?\s*(\d+)", r"\1-\2"),
    ),
    "SA": (_AL,),
    "SG": ((r"#\s*0+(?=\d)", "#"), (r"#", " ")),
    "TR": (
        (r"\bno\s*[.:]*\s*(\d+[a-z]?)[\s,]*\b(?:d|daire)\b\s*[.:]*\s*(\d)", r" \1/\2"),
        (r"\bno\s*[.:]*\s*(?=\d)", " "),
    ),
    "TW": (
        (r"(?<=\d)\s*之\s*(?=\d)", "-"),
        (r"(?<=\d)\s*(?:樓|楼|f\b)", "樓"),
        (r"一(?=[樓楼])", "1"),
        (r"二(?=[樓楼])", "2"),
        (r"三(?=[樓楼])", "3"),
        (r"四(?=[樓楼])", "4"),
        (r"五(?=[樓楼])", "5"),
        (r"六(?=[樓楼])", "6"),
        (r"七(?=[樓楼])", "7"),
        (r"八(?=[樓楼])", "8"),
        (r"九(?=[樓楼])", "9"),
        (r"楼", "樓"),
    ),
    "UA": (
        (r"\bпр-(?:кт|т)\b", "пр"),
        (r"(\d[а-я]?)\s*,?\s*\b(?:кв|квартира)\.?\s*(\d+)", r"\1-\2"),
    ),
    "HK": ((r"(?<=\d)\s*/\s*f\b", "f"), (r"(\d+)(?:st|nd|rd|th)\s+floor\b", r"\1f")),
}
"""Per country: what is written, and what it is read as, one after the other."""

CITY_REWRITES: dict[str, tuple[tuple[str, str], ...]] = {
    "CN": ((r"(?<=\w\w)市$", ""),),
    "FR": (
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
    "北海道 青森県 岩手県 宮城県 秋田県 山形県 福島県 茨城県 栃木県 群馬県 埼玉県 千葉県 東京都 神奈川県 新潟県 富山県 石川県 福井県 山梨県 "
    "長野県 岐阜県 静岡県 愛知県 三重県 滋賀県 京都府 大阪府 兵庫県 奈良県 和歌山県 鳥取県 島根県 岡山県 広島県 山口県 徳島県 香川県 愛媛県 "
    "高知県 福岡県 佐賀県 長崎県 熊本県 大分県 宮崎県 鹿児島県 沖縄県"
).split()
