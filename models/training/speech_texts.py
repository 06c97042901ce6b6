"""Sentences for the synthetic speech: random English from templates and a dictionary, and several other languages."""

from __future__ import annotations

import random

_NOUNS = """apple map lamp paper problem member number company people baby cup bottle table window picture summer
bumper pump temple bishop cabbage rabbit pebble palm tomb bomb lamb pilot bubble pamphlet button maple mammal family
village river mountain station morning evening weather chapter question answer music garden kitchen teacher child
voice judge bridge watch church fish ship shoe measure garage jungle yellow year onion thumb path mother father brother
feather thing truth leather coffee leaf wolf knife valve oven value vision finger singer king song quick queen world
word bird girl nurse shirt water wood wool foot book moon food school boot boy coin noise point house cloud town cow
hour power flower law saw dog thought wall boat road snow phone hope cake name day rain bed head friend egg cat hand
bag plan land ring milk tree sea key seat zoo nose rose eyes light night time life mind"""
_VERBS = """put bring keep push pull open move bump jump promise complain mumble hope help stop grab rub
remember become make improve bake think thank breathe gather love leave find feel serve give drive
sell tell call fill follow learn turn hurry carry throw row read write see seize choose use wash wish teach reach catch
judge change enjoy join know show grow go say stay take wait play pay try buy fly look cook should wonder want walk
watch worry"""
_ADJECTIVES = """big small happy simple pretty purple brown blue public possible blank plump warm damp empty
proper lovely thin thick smooth fresh rough five seven clever heavy very new few huge young yellow green great gray
crisp quiet wet wide wild low slow old cold bold loud round proud sharp dark hard large short warm tall small long
strong fast last flat bad sad red dead ready early certain third thirty good full cool blue true"""
_TEMPLATES = """The {a} {n} and the {a} {n} {v} near my {n}.
Please {v} the {n}, and then {v} it again.
Why would {p} {v} a {a} {n} before {p2} {v} the {n}?
{p}, {p2}, and Bob will {v} {d} {n}s by {d} o'clock.
I don't think we should {v} that {a} {n} now.
Number {d}: {n}, {n}, {n}; number {d}: {n}.
Maybe {p} can {v} the {n}. Maybe not.
We {v} it {d} times, from {d} to {d}.
Oh, what a {a}, {a} {n}!
Um, my {n} is {a}... but your {n} is {a}.
{w} {w} {w} {w}, {w} {w} {w}.
{w} {w} {w} {w} {w} {w}.
You may {v} {w} and {w}, or {v} a {n}.
{p} said: {v} the {n} with both hands, and {v} up.
It was {d} minutes past {d} when the {a} {n} stopped.
This is how people {v}. Both of them measure the {a} {n}."""
_PEOPLE = """Pam Peter Bob Mum Fiona Victor Thelma Sarah Zoe Charlotte George Yolanda Louise Rory Wendy
Owen Kim Hugo"""
NOUNS, VERBS, ADJECTIVES, PEOPLE = (text.split() for text in (_NOUNS, _VERBS, _ADJECTIVES, _PEOPLE))
TEMPLATES = _TEMPLATES.splitlines()

OTHER_LANGUAGES: dict[str, list[str]] = {
    "de": [
        "Guten Morgen, mein Name ist Peter und ich komme aus Hamburg.",
        "Bitte bringen Sie mir einen Apfel, ein paar Birnen und zwei Becher Milch.",
        "Über den Bergen scheint schon früh die Sonne, doch im Tal bleibt es kühl.",
        "Fünf fleißige Frauen fahren vergnügt mit vollen Wagen durch das schöne Dorf.",
        "Warum möchten die Kinder heute nicht im Garten spielen?",
        "Im Dezember wird es abends früh dunkel, und wir machen Feuer im Ofen.",
    ],
    "fr": [
        "Bonjour, je m'appelle Pierre et j'habite près de la mer.",
        "Le petit garçon mange une pomme rouge dans le jardin de sa grand-mère.",
        "Nous avons vu beaucoup de bateaux blancs sur l'eau bleue du port.",
        "Peux-tu m'apporter un peu de pain, du beurre et du fromage, s'il te plaît?",
        "Chaque matin, le facteur passe devant la maison vers huit heures et demie.",
        "Il ne faut jamais oublier que le temps emporte tout.",
    ],
    "es": [
        "Buenos días, me llamo Pablo y vivo en un pueblo muy pequeño.",
        "Mi abuela prepara un plato de pimientos con pan y un vaso de vino.",
        "El perro blanco corre por la plaza mientras los niños juegan a la pelota.",
        "¿Por qué no vamos mañana al campo para ver las montañas?",
        "Siempre me ha gustado escuchar la lluvia cuando cae por la noche.",
        "Cinco veces llamó a la puerta, pero nadie quiso abrir.",
    ],
    "pt-br": [
        "Bom dia, meu nome é Paulo e eu moro em uma cidade bonita.",
        "A menina comprou um bolo de maçã e um pouco de pão para a mãe.",
        "Amanhã vamos viajar para o campo com os nossos amigos.",
        "O vento forte balançava as árvores e ninguém queria sair de casa.",
        "Você pode me emprestar o livro verde que está na mesa?",
    ],
    "nl": [
        "Goedemorgen, mijn naam is Pieter en ik woon bij de grote brug.",
        "Wij kopen brood, boter en melk bij de bakker op de hoek.",
        "Vandaag waait het hard en de bomen buigen diep voorover.",
        "Waarom blijft die jongen zo lang bij het water staan?",
        "Vijf vrolijke vrouwen fietsen door het vlakke veld.",
    ],
    "pl": [
        "Dzień dobry, mam na imię Paweł i mieszkam w małym mieście.",
        "Babcia upiekła ciasto z jabłkami i podała je z ciepłym mlekiem.",
        "Wieczorem wszyscy siedzimy przy stole i opowiadamy bajki.",
        "Czy możesz mi pomóc przenieść to pudełko do domu?",
        "Szczególnie lubię spacery brzegiem rzeki o świcie.",
    ],
    "ru": [
        "Доброе утро, меня зовут Павел, и я живу в большом городе.",
        "Бабушка приготовила пирог с яблоками и поставила его на стол.",
        "Почему мы не можем пойти сегодня вместе в парк?",
        "Вечером над морем поднялся сильный ветер, и пошёл дождь.",
        "Пять минут назад мимо проехал большой белый автобус.",
    ],
    "tr": [
        "Günaydın, benim adım Burak ve küçük bir köyde yaşıyorum.",
        "Annem pazardan biber, patlıcan ve biraz peynir aldı.",
        "Bugün hava çok güzel, belki parka gidip yürürüz.",
        "Neden bu kadar uzun zamandır kapının önünde bekliyorsun?",
        "Öğretmen öğrencilere yeni bir şarkı söylemeyi öğretti.",
    ],
    "cmn": [
        "你好，我的名字叫王明，我住在北京。",
        "今天天气不错，我们一起去公园跑步吧。",
        "妈妈买了一些苹果、面包和牛奶，放在桌子上。",
        "请问，火车站在哪里？我不明白这个地图。",
        "八百标兵奔北坡，炮兵并排北边跑。",
        "他每天晚上都会看一本书，然后慢慢地睡着。",
        "我们公司最近发布了一个新的产品，大家都非常满意。",
    ],
    "ja": [
        "おはようございます。わたしのなまえは たなかです。",
        "きょうは とても いい てんきですね。こうえんへ さんぽに いきましょう。",
        "ははは りんごと ぱんと ぎゅうにゅうを かいました。",
        "すみません、えきは どこですか。ばすは なんばんですか。",
        "まいばん ほんを よんでから ねます。",
    ],
    "hi": [
        "नमस्ते, मेरा नाम प्रकाश है और मैं दिल्ली में रहता हूँ।",
        "माँ ने बाज़ार से आम, पपीता और दूध खरीदा।",
        "आज मौसम बहुत अच्छा है, चलो बाहर घूमने चलते हैं।",
        "क्या आप मुझे बता सकते हैं कि बस कब आएगी?",
    ],
    "ar": [
        "صباح الخير، اسمي بدر وأنا أسكن في مدينة كبيرة.",
        "اشترت أمي الخبز والتفاح والحليب من السوق.",
        "لماذا لا نذهب غدا إلى البحر مع الأصدقاء؟",
        "في المساء نجلس معا ونشرب الشاي ونتكلم.",
    ],
    "fi": [
        "Hyvää huomenta, minun nimeni on Pekka ja asun pienessä kylässä.",
        "Äiti osti kaupasta omenoita, leipää ja vähän maitoa.",
        "Miksi emme menisi tänään yhdessä metsään kävelemään?",
        "Illalla tuuli voimistui ja alkoi sataa vettä.",
    ],
    "vi": [
        "Xin chào, tôi tên là Minh và tôi sống ở Hà Nội.",
        "Mẹ tôi mua bánh mì, táo và một ít sữa ở chợ.",
        "Hôm nay trời đẹp, chúng ta cùng đi bộ trong công viên nhé.",
        "Bạn có thể cho tôi biết mấy giờ xe buýt đến không?",
    ],
    "hu": [
        "Jó reggelt, a nevem Péter, és egy kis faluban lakom.",
        "Nagymama almás pitét sütött, és friss tejet adott mellé.",
        "Miért nem megyünk ma együtt a parkba sétálni?",
        "Este erős szél támadt, és hamarosan esni kezdett az eső.",
    ],
    "it": [
        "Buongiorno, mi chiamo Paolo e abito in un piccolo paese vicino al mare.",
        "La mamma prepara il pane con un po' di burro e una bella mela rossa.",
        "Perché non andiamo domani in montagna con tutti i nostri amici?",
        "Il vento forte muoveva gli alberi e nessuno voleva uscire di casa.",
        "Ogni mattina bevo un caffè e leggo il giornale sul balcone.",
    ],
    "ko": [
        "안녕하세요, 제 이름은 민수이고 부산에 살아요.",
        "어머니가 시장에서 사과와 빵과 우유를 사셨어요.",
        "오늘은 날씨가 좋아서 공원에서 밥을 먹었습니다.",
        "버스가 몇 시에 오는지 말해 주시겠어요?",
    ],
    "sv": [
        "God morgon, jag heter Per och bor i en liten by vid havet.",
        "Mamma köpte bröd, smör och fem röda äpplen på torget.",
        "Varför kan vi inte gå ut och promenera i parken idag?",
        "På kvällen blåste det hårt och regnet började falla.",
    ],
}
"""Language code of espeak-ng to sentences."""


def english_sentence(rng: random.Random, dictionary: list[str]) -> str:
    """A random English sentence; about one word in six comes from the whole dictionary."""
    values = {
        "p": lambda: rng.choice(PEOPLE),
        "p2": lambda: rng.choice(PEOPLE),
        "n": lambda: rng.choice(NOUNS),
        "v": lambda: rng.choice(VERBS),
        "a": lambda: rng.choice(ADJECTIVES),
        "d": lambda: str(rng.randint(1, 99)),
        "w": lambda: rng.choice(dictionary) if rng.random() < 0.7 else rng.choice(NOUNS),
    }
    text = rng.choice(TEMPLATES)
    for key, draw in values.items():
        while "{" + key + "}" in text:
            text = text.replace("{" + key + "}", draw(), 1)
    return text


def other_sentence(rng: random.Random, language: str) -> str:
    """A sentence of another language; half of the time its words are mixed with those of a second one."""
    first, second = rng.choice(OTHER_LANGUAGES[language]), rng.choice(OTHER_LANGUAGES[language])
    if rng.random() < 0.5 or " " not in first:
        return first
    words = first.split() + second.split()
    rng.shuffle(words)
    return " ".join(words[: rng.randint(6, 14)])
