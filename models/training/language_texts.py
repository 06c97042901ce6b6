"""What synthetic voices say in the benchmark of languages; no training text is among it.

The first sentences of each language are Articles 1 and 3 of the Universal Declaration of Human Rights, whose
translations are in the public domain; the last one is written for its lips that close.
"""

from __future__ import annotations

LANGUAGE_TEXTS: dict[str, tuple[str, ...]] = {
    "en-us": (
        "All human beings are born free and equal in dignity and rights.",
        "They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
        "Everyone has the right to life, liberty and the security of person.",
        "Mum, please put the blue paper cups back on the table before my brother comes.",
    ),
    "de": (
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
        "Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
        "Jeder hat das Recht auf Leben, Freiheit und Sicherheit der Person.",
        "Mama, bitte bring mir bald ein paar bunte Becher und ein Blatt Papier.",
    ),
    "fr": (
        "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
        "Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de"
        " fraternité.",
        "Tout individu a droit à la vie, à la liberté et à la sûreté de sa personne.",
        "Maman, peux-tu poser la pomme et le pain au beurre près de ma place?",
    ),
    "es": (
        "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y"
        " conciencia, deben comportarse fraternalmente los unos con los otros.",
        "Todo individuo tiene derecho a la vida, a la libertad y a la seguridad de su persona.",
        "Mamá, pon por favor un poco de pan, una manzana y miel en mi mesa.",
    ),
    "it": (
        "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
        "Essi sono dotati di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
        "Ogni individuo ha diritto alla vita, alla libertà ed alla sicurezza della propria persona.",
        "Mamma, per favore porta un po' di pane, burro e una mela al bambino.",
    ),
    "pt-br": (
        "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
        "Dotados de razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
        "Todo ser humano tem direito à vida, à liberdade e à segurança pessoal.",
        "Mamãe, por favor põe um pouco de pão, uma maçã e um copo na mesa.",
    ),
    "nl": (
        "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
        "Zij zijn begiftigd met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te"
        " gedragen.",
        "Een ieder heeft het recht op leven, vrijheid en onschendbaarheid van zijn persoon.",
        "Mama, breng mij morgen alsjeblieft een appel, brood met boter en een beker melk.",
    ),
    "sv": (
        "Alla människor är födda fria och lika i värde och rättigheter.",
        "De har utrustats med förnuft och samvete och bör handla gentemot varandra i en anda av gemenskap.",
        "Var och en har rätt till liv, frihet och personlig säkerhet.",
        "Mamma, be pappa komma med bröd, smör, ett par äpplen och en mugg mjölk.",
    ),
    "ru": (
        "Все люди рождаются свободными и равными в своем достоинстве и правах.",
        "Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.",
        "Каждый человек имеет право на жизнь, на свободу и на личную неприкосновенность.",
        "Мама, принеси, пожалуйста, папе большой белый платок и бумагу.",
    ),
    "pl": (
        "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
        "Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
        "Każdy człowiek ma prawo do życia, wolności i bezpieczeństwa swojej osoby.",
        "Mamo, proszę podaj mi białą miskę, masło i parę małych bułek.",
    ),
    "el": (
        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
        "Είναι προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα"
        " αδελφοσύνης.",
        "Μαμά, πες στον μπαμπά να πάρει ψωμί, μέλι και μπανάνες από την πόλη.",
    ),
    "tr": (
        "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
        "Akıl ve vicdana sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
        "Yaşamak, hürriyet ve kişi emniyeti her ferdin hakkıdır.",
        "Anne, lütfen bana bir bardak, biraz peynir ve büyük bir mum bul.",
    ),
    "fi": (
        "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
        "Heille on annettu järki ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
        "Äiti, pane pöydälle pari perunaa, pieni pullo maitoa ja mummon omenapiirakka.",
    ),
    "ar": (
        "يُولَدُ جَمِيعُ النَّاسِ أَحْرَارًا مُتَسَاوِينَ فِي الكَرَامَةِ وَالحُقُوقِ.",
        "وَقَدْ وُهِبُوا عَقْلًا وَضَمِيرًا وَعَلَيْهِمْ أَنْ يُعَامِلَ بَعْضُهُمْ بَعْضًا بِرُوحِ الإِخَاءِ.",
        "مَامَا، أَحْضِرِي لِبَابَا مَاءً بَارِدًا وَخُبْزًا وَبُرْتُقَالًا مِنَ المَطْبَخِ.",
    ),
    "hi": (
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
        "उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
        "माँ, बाबा के लिए पानी, मीठे आम और बड़ा बर्तन मेज़ पर रख दो।",
    ),
    "sw": (
        "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa.",
        "Wote wamejaliwa akili na dhamiri, hivyo yapasa watendeane kindugu.",
        "Kila mtu anayo haki ya kuishi, haki ya kuwa huru na usalama wa nafsi yake.",
        "Mama, tafadhali mpe baba maji, mkate na embe moja bila kuchelewa.",
    ),
    "id": (
        "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama.",
        "Mereka dikaruniai akal dan hati nurani dan hendaknya bergaul satu sama lain dalam semangat persaudaraan.",
        "Ibu, mohon bawa beberapa buah pisang, roti mentega dan air minum buat bapak.",
    ),
    "vi": (
        "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
        "Mọi người đều có quyền sống, quyền tự do và an toàn cá nhân.",
        "Mẹ ơi, bố mua bánh mì, bơ và một bình mật ong màu vàng.",
    ),
    "ja": (
        "すべての にんげんは、うまれながらにして じゆうであり、そんげんと けんりとについて びょうどうである。",
        "にんげんは、りせいと りょうしんとを さずけられており、たがいに どうほうの せいしんを もって"
        " こうどう しなければならない。",
        "ママ、パパの ぼうしと まくらを へやの まんなかに ならべて みませんか。",
    ),
    "ko": (
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
        "인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
        "엄마, 아버지 밥과 물, 배와 빵을 방 안 밥상에 놓아 주세요.",
    ),
    "cmn-latn-pinyin": (
        "ren2 ren2 sheng1 er2 zi4 you2, zai4 zun1 yan2 he2 quan2 li4 shang4 yi1 lv4 ping2 deng3.",
        "ta1 men5 fu4 you3 li3 xing4 he2 liang2 xin1, bing4 ying1 yi3 xiong1 di4 guan1 xi4 de5 jing1 shen2"
        " xiang1 dui4 dai4.",
        "ma1 ma5, bang1 wo3 ba3 mian4 bao1, ping2 guo3 he2 bei1 zi5 bai3 zai4 zhuo1 zi5 bian1.",
    ),
}
"""Voice of espeak-ng to sentences."""

LANGUAGE_NAMES: dict[str, str] = {
    "en-us": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian",
    "pt-br": "Portuguese (Brazil)", "nl": "Dutch", "sv": "Swedish", "ru": "Russian", "pl": "Polish", "el": "Greek",
    "tr": "Turkish", "fi": "Finnish", "ar": "Arabic", "hi": "Hindi", "sw": "Swahili", "id": "Indonesian",
    "vi": "Vietnamese", "ja": "Japanese", "ko": "Korean", "cmn-latn-pinyin": "Mandarin",
}  # fmt: skip
"""The same codes to names."""
