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
    "cmn-latn-pinyin": [
        "ni3 hao3, wo3 de5 ming2 zi5 jiao4 wang2 ming2, wo3 zhu4 zai4 bei3 jing1.",
        "jin1 tian1 tian1 qi4 bu2 cuo4, wo3 men5 yi4 qi3 qu4 gong1 yuan2 pao3 bu4 ba5.",
        "ma1 ma5 mai3 le5 yi4 xie1 ping2 guo3, mian4 bao1 he2 niu2 nai3, fang4 zai4 zhuo1 zi5 shang4.",
        "qing3 wen4, huo3 che1 zhan4 zai4 na3 li3? wo3 bu4 ming2 bai2 zhe4 ge5 di4 tu2.",
        "ba1 bai3 biao1 bing1 ben1 bei3 po1, pao4 bing1 bing4 pai2 bei3 bian1 pao3.",
        "ta1 mei3 tian1 wan3 shang4 dou1 hui4 kan4 yi4 ben3 shu1, ran2 hou4 man4 man4 de5 shui4 zhao2.",
        "wo3 men5 gong1 si1 zui4 jin4 fa1 bu4 le5 yi2 ge5 xin1 de5 chan3 pin3, da4 jia1 dou1 fei1 chang2 man3 yi4.",
        "chi1 pu2 tao5 bu4 tu3 pu2 tao5 pi2, bu4 chi1 pu2 tao5 dao4 tu3 pu2 tao5 pi2.",
        "ru2 guo3 ming2 tian1 xia4 yu3, wo3 jiu4 bu4 chu1 men2 le5, zai4 jia1 li3 xie3 zuo4 ye4.",
        "xie4 xie5 ni3 de5 bang1 zhu4, zhe4 ci4 hui4 yi4 fei1 chang2 cheng2 gong1.",
        "qu4 nian2 qiu1 tian1, ye2 ye5 nai3 nai5 dai4 zhe5 hai2 zi5 men5 dao4 hai3 bian1 lv3 xing2.",
        "er4 shi2 wu3 kuai4 san1 mao2 jiu3, yi2 gong4 liu4 shi2 qi1 kuai4 ba1.",
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
