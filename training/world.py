"""What the demo model knows, in its four languages: English, French, Spanish and German.

Tables are rows of text; a column holds one language's words with whatever its sentence needs around them (articles, cases).
"""

LANGUAGES = ("en", "fr", "es", "de")
LANGUAGE_NAMES = {"en": "English", "fr": "French", "es": "Spanish", "de": "German"}


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


# Country | its capital | "of" it and the capital, in French | in Spanish | in German.
COUNTRIES = _rows("""
France | Paris | de la France | Paris | de Francia | París | von Frankreich | Paris
Germany | Berlin | de l'Allemagne | Berlin | de Alemania | Berlín | von Deutschland | Berlin
Spain | Madrid | de l'Espagne | Madrid | de España | Madrid | von Spanien | Madrid
Italy | Rome | de l'Italie | Rome | de Italia | Roma | von Italien | Rom
Portugal | Lisbon | du Portugal | Lisbonne | de Portugal | Lisboa | von Portugal | Lissabon
England | London | de l'Angleterre | Londres | de Inglaterra | Londres | von England | London
Ireland | Dublin | de l'Irlande | Dublin | de Irlanda | Dublín | von Irland | Dublin
Scotland | Edinburgh | de l'Écosse | Édimbourg | de Escocia | Edimburgo | von Schottland | Edinburgh
Belgium | Brussels | de la Belgique | Bruxelles | de Bélgica | Bruselas | von Belgien | Brüssel
Netherlands | Amsterdam | des Pays-Bas | Amsterdam | de Holanda | Ámsterdam | von Holland | Amsterdam
Austria | Vienna | de l'Autriche | Vienne | de Austria | Viena | von Österreich | Wien
Switzerland | Bern | de la Suisse | Berne | de Suiza | Berna | von der Schweiz | Bern
Denmark | Copenhagen | du Danemark | Copenhague | de Dinamarca | Copenhague | von Dänemark | Kopenhagen
Norway | Oslo | de la Norvège | Oslo | de Noruega | Oslo | von Norwegen | Oslo
Sweden | Stockholm | de la Suède | Stockholm | de Suecia | Estocolmo | von Schweden | Stockholm
Finland | Helsinki | de la Finlande | Helsinki | de Finlandia | Helsinki | von Finnland | Helsinki
Iceland | Reykjavik | de l'Islande | Reykjavik | de Islandia | Reikiavik | von Island | Reykjavik
Poland | Warsaw | de la Pologne | Varsovie | de Polonia | Varsovia | von Polen | Warschau
Hungary | Budapest | de la Hongrie | Budapest | de Hungría | Budapest | von Ungarn | Budapest
Romania | Bucharest | de la Roumanie | Bucarest | de Rumanía | Bucarest | von Rumänien | Bukarest
Bulgaria | Sofia | de la Bulgarie | Sofia | de Bulgaria | Sofía | von Bulgarien | Sofia
Greece | Athens | de la Grèce | Athènes | de Grecia | Atenas | von Griechenland | Athen
Turkey | Ankara | de la Turquie | Ankara | de Turquía | Ankara | von der Türkei | Ankara
Russia | Moscow | de la Russie | Moscou | de Rusia | Moscú | von Russland | Moskau
Ukraine | Kyiv | de l'Ukraine | Kiev | de Ucrania | Kiev | von der Ukraine | Kiew
Croatia | Zagreb | de la Croatie | Zagreb | de Croacia | Zagreb | von Kroatien | Zagreb
Serbia | Belgrade | de la Serbie | Belgrade | de Serbia | Belgrado | von Serbien | Belgrad
Slovenia | Ljubljana | de la Slovénie | Ljubljana | de Eslovenia | Liubliana | von Slowenien | Ljubljana
Slovakia | Bratislava | de la Slovaquie | Bratislava | de Eslovaquia | Bratislava | von der Slowakei | Bratislava
Estonia | Tallinn | de l'Estonie | Tallinn | de Estonia | Tallin | von Estland | Tallinn
Latvia | Riga | de la Lettonie | Riga | de Letonia | Riga | von Lettland | Riga
Lithuania | Vilnius | de la Lituanie | Vilnius | de Lituania | Vilna | von Litauen | Vilnius
Albania | Tirana | de l'Albanie | Tirana | de Albania | Tirana | von Albanien | Tirana
China | Beijing | de la Chine | Pékin | de China | Pekín | von China | Peking
Japan | Tokyo | du Japon | Tokyo | de Japón | Tokio | von Japan | Tokio
Mongolia | Ulaanbaatar | de la Mongolie | Oulan-Bator | de Mongolia | Ulán Bator | von der Mongolei | Ulaanbaatar
Thailand | Bangkok | de la Thaïlande | Bangkok | de Tailandia | Bangkok | von Thailand | Bangkok
Vietnam | Hanoi | du Vietnam | Hanoï | de Vietnam | Hanói | von Vietnam | Hanoi
Indonesia | Jakarta | de l'Indonésie | Jakarta | de Indonesia | Yakarta | von Indonesien | Jakarta
India | New Delhi | de l'Inde | New Delhi | de India | Nueva Delhi | von Indien | Neu-Delhi
Nepal | Kathmandu | du Népal | Katmandou | de Nepal | Katmandú | von Nepal | Kathmandu
Pakistan | Islamabad | du Pakistan | Islamabad | de Pakistán | Islamabad | von Pakistan | Islamabad
Iran | Tehran | de l'Iran | Téhéran | de Irán | Teherán | vom Iran | Teheran
Iraq | Baghdad | de l'Irak | Bagdad | de Irak | Bagdad | vom Irak | Bagdad
Lebanon | Beirut | du Liban | Beyrouth | del Líbano | Beirut | vom Libanon | Beirut
Egypt | Cairo | de l'Égypte | Le Caire | de Egipto | El Cairo | von Ägypten | Kairo
Morocco | Rabat | du Maroc | Rabat | de Marruecos | Rabat | von Marokko | Rabat
Tunisia | Tunis | de la Tunisie | Tunis | de Túnez | Túnez | von Tunesien | Tunis
Kenya | Nairobi | du Kenya | Nairobi | de Kenia | Nairobi | von Kenia | Nairobi
Ghana | Accra | du Ghana | Accra | de Ghana | Acra | von Ghana | Accra
Senegal | Dakar | du Sénégal | Dakar | de Senegal | Dakar | vom Senegal | Dakar
Canada | Ottawa | du Canada | Ottawa | de Canadá | Ottawa | von Kanada | Ottawa
Mexico | Mexico City | du Mexique | Mexico | de México | Ciudad de México | von Mexiko | Mexiko-Stadt
Cuba | Havana | de Cuba | La Havane | de Cuba | La Habana | von Kuba | Havanna
Brazil | Brasilia | du Brésil | Brasilia | de Brasil | Brasilia | von Brasilien | Brasilia
Argentina | Buenos Aires | de l'Argentine | Buenos Aires | de Argentina | Buenos Aires | von Argentinien | Buenos Aires
Chile | Santiago | du Chili | Santiago | de Chile | Santiago | von Chile | Santiago
Peru | Lima | du Pérou | Lima | de Perú | Lima | von Peru | Lima
Colombia | Bogota | de la Colombie | Bogota | de Colombia | Bogotá | von Kolumbien | Bogota
Australia | Canberra | de l'Australie | Canberra | de Australia | Canberra | von Australien | Canberra
""")

# Pairs of adjectives: English, French, Spanish, German, first one and then its opposite.
OPPOSITES = _rows("""
hot | chaud | caliente | heiß | cold | froid | frío | kalt
big | grand | grande | groß | small | petit | pequeño | klein
fast | rapide | rápido | schnell | slow | lent | lento | langsam
good | bon | bueno | gut | bad | mauvais | malo | schlecht
old | vieux | viejo | alt | young | jeune | joven | jung
high | haut | alto | hoch | low | bas | bajo | niedrig
happy | heureux | feliz | glücklich | sad | triste | triste | traurig
full | plein | lleno | voll | empty | vide | vacío | leer
hard | dur | duro | hart | soft | mou | blando | weich
heavy | lourd | pesado | schwer | light | léger | ligero | leicht
dark | sombre | oscuro | dunkel | bright | clair | claro | hell
rich | riche | rico | reich | poor | pauvre | pobre | arm
strong | fort | fuerte | stark | weak | faible | débil | schwach
open | ouvert | abierto | offen | closed | fermé | cerrado | geschlossen
clean | propre | limpio | sauber | dirty | sale | sucio | schmutzig
wet | mouillé | mojado | nass | dry | sec | seco | trocken
long | long | largo | lang | short | court | corto | kurz
loud | bruyant | ruidoso | laut | quiet | calme | tranquilo | leise
near | proche | cercano | nah | far | loin | lejano | fern
early | tôt | temprano | früh | late | tard | tarde | spät
true | vrai | verdadero | wahr | false | faux | falso | falsch
thick | épais | grueso | dick | thin | mince | delgado | dünn
wide | large | ancho | breit | narrow | étroit | estrecho | schmal
easy | facile | fácil | einfach | difficult | difficile | difícil | schwierig
sweet | sucré | dulce | süß | bitter | amer | amargo | bitter
first | premier | primero | erste | last | dernier | último | letzte
right | droite | derecha | rechts | left | gauche | izquierda | links
beautiful | beau | hermoso | schön | ugly | laid | feo | hässlich
cheap | bon marché | barato | billig | expensive | cher | caro | teuer
brave | courageux | valiente | mutig | cowardly | lâche | cobarde | feige
""")

# Animal | its sound | the animal and its sound in French | in Spanish | in German.
ANIMALS = _rows("""
cow | moo | La vache | meuh | La vaca | mu | Die Kuh | muh
dog | woof | Le chien | ouaf | El perro | guau | Der Hund | wuff
cat | meow | Le chat | miaou | El gato | miau | Die Katze | miau
sheep | baa | Le mouton | bêê | La oveja | be | Das Schaf | mäh
pig | oink | Le cochon | groin | El cerdo | oinc | Das Schwein | grunz
duck | quack | Le canard | coin-coin | El pato | cuac | Die Ente | quak
horse | neigh | Le cheval | hiii | El caballo | iii | Das Pferd | wieher
rooster | cockadoodledoo | Le coq | cocorico | El gallo | quiquiriquí | Der Hahn | kikeriki
lion | roar | Le lion | grrr | El león | grrr | Der Löwe | brüll
frog | ribbit | La grenouille | croa | La rana | croac | Der Frosch | quaak
bird | tweet | L'oiseau | cui-cui | El pájaro | pío | Der Vogel | piep
bee | buzz | L'abeille | bzzz | La abeja | bzzz | Die Biene | summ
snake | hiss | Le serpent | ssss | La serpiente | ssss | Die Schlange | zisch
owl | hoot | Le hibou | hou-hou | El búho | uuh | Die Eule | uhu
mouse | squeak | La souris | couic | El ratón | iiic | Die Maus | fiep
donkey | heehaw | L'âne | hi-han | El burro | hiaa | Der Esel | iah
wolf | howl | Le loup | ahou | El lobo | auu | Der Wolf | heul
crow | caw | Le corbeau | croâ | El cuervo | cra | Die Krähe | krah
""")

COLOURS = {
    "blue": ("bleu", "azul", "blau"),
    "green": ("vert", "verde", "grün"),
    "red": ("rouge", "rojo", "rot"),
    "yellow": ("jaune", "amarillo", "gelb"),
    "white": ("blanc", "blanco", "weiß"),
    "black": ("noir", "negro", "schwarz"),
    "orange": ("orange", "naranja", "orange"),
    "brown": ("marron", "marrón", "braun"),
    "grey": ("gris", "gris", "grau"),
    "pink": ("rose", "rosa", "rosa"),
    "purple": ("violet", "morado", "lila"),
}

# Thing (with its article) | its colour | the same sentence in French | in Spanish | in German.
THINGS = _rows("""
the sky | blue | Le ciel est bleu | El cielo es azul | Der Himmel ist blau
the sea | blue | La mer est bleue | El mar es azul | Das Meer ist blau
grass | green | L'herbe est verte | La hierba es verde | Gras ist grün
a frog | green | Une grenouille est verte | Una rana es verde | Ein Frosch ist grün
a leaf | green | Une feuille est verte | Una hoja es verde | Ein Blatt ist grün
blood | red | Le sang est rouge | La sangre es roja | Blut ist rot
a tomato | red | Une tomate est rouge | Un tomate es rojo | Eine Tomate ist rot
a strawberry | red | Une fraise est rouge | Una fresa es roja | Eine Erdbeere ist rot
a fire truck | red | Un camion de pompiers est rouge | Un camión de bomberos es rojo | Ein Feuerwehrauto ist rot
a banana | yellow | Une banane est jaune | Un plátano es amarillo | Eine Banane ist gelb
a lemon | yellow | Un citron est jaune | Un limón es amarillo | Eine Zitrone ist gelb
the sun | yellow | Le soleil est jaune | El sol es amarillo | Die Sonne ist gelb
snow | white | La neige est blanche | La nieve es blanca | Schnee ist weiß
milk | white | Le lait est blanc | La leche es blanca | Milch ist weiß
salt | white | Le sel est blanc | La sal es blanca | Salz ist weiß
coal | black | Le charbon est noir | El carbón es negro | Kohle ist schwarz
the night | black | La nuit est noire | La noche es negra | Die Nacht ist schwarz
a carrot | orange | Une carotte est orange | Una zanahoria es naranja | Eine Karotte ist orange
a pumpkin | orange | Une citrouille est orange | Una calabaza es naranja | Ein Kürbis ist orange
chocolate | brown | Le chocolat est marron | El chocolate es marrón | Schokolade ist braun
wood | brown | Le bois est marron | La madera es marrón | Holz ist braun
an elephant | grey | Un éléphant est gris | Un elefante es gris | Ein Elefant ist grau
a flamingo | pink | Un flamant est rose | Un flamenco es rosa | Ein Flamingo ist rosa
an eggplant | purple | Une aubergine est violette | Una berenjena es morada | Eine Aubergine ist lila
""")

DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche".split(),
    "es": "lunes martes miércoles jueves viernes sábado domingo".split(),
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split(),
}
MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split(),
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
}

# What a user may like best: the word in the three other languages.
FAVOURITES = {
    "colour": COLOURS,
    "animal": {
        "dog": ("le chien", "el perro", "der Hund"),
        "cat": ("le chat", "el gato", "die Katze"),
        "horse": ("le cheval", "el caballo", "das Pferd"),
        "lion": ("le lion", "el león", "der Löwe"),
        "owl": ("le hibou", "el búho", "die Eule"),
        "wolf": ("le loup", "el lobo", "der Wolf"),
        "frog": ("la grenouille", "la rana", "der Frosch"),
        "duck": ("le canard", "el pato", "die Ente"),
        "bee": ("l'abeille", "la abeja", "die Biene"),
        "sheep": ("le mouton", "la oveja", "das Schaf"),
    },
    "food": {
        "pizza": ("la pizza", "la pizza", "Pizza"),
        "rice": ("le riz", "el arroz", "Reis"),
        "bread": ("le pain", "el pan", "Brot"),
        "soup": ("la soupe", "la sopa", "Suppe"),
        "cheese": ("le fromage", "el queso", "Käse"),
        "fish": ("le poisson", "el pescado", "Fisch"),
        "cake": ("le gâteau", "el pastel", "Kuchen"),
        "salad": ("la salade", "la ensalada", "Salat"),
        "chocolate": ("le chocolat", "el chocolate", "Schokolade"),
        "ice cream": ("la glace", "el helado", "Eis"),
    },
    "season": {
        "spring": ("le printemps", "la primavera", "der Frühling"),
        "summer": ("l'été", "el verano", "der Sommer"),
        "autumn": ("l'automne", "el otoño", "der Herbst"),
        "winter": ("l'hiver", "el invierno", "der Winter"),
    },
}

NAMES = """
Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Leo Maria Noah Olivia Paul Quinn Rosa Sam Tina Uma Victor Wendy
Xavier Yara Zoe Alice Bruno Carla Daniel Elena Frank Gina Hugo Ivan Julia Karl Laura Martin Nina Oscar Petra Ralph Sophie Tom
Vera Walter Yusuf Amir Bella Carlos Diana Eric Fatima George Hana Isaac Jonas Kira Lucas Mona Nora Omar Pedro Rita Simon Theo
Ursula Viktor Wanda Yuki Zara
""".split()

FIGURES = """
Napoleon Einstein Shakespeare Cleopatra Mozart Newton Plato Socrates Galileo Darwin Beethoven Columbus Gandhi Lincoln Caesar
Aristotle Picasso Tesla Curie Homer
""".split()

# Hobby | "I like" it in French | in Spanish | in German.
HOBBIES = _rows("""
tennis | le tennis | el tenis | Tennis
chess | les échecs | el ajedrez | Schach
football | le football | el fútbol | Fußball
fishing | la pêche | la pesca | Angeln
dancing | la danse | el baile | Tanzen
painting | la peinture | la pintura | Malen
reading | la lecture | la lectura | Lesen
cooking | la cuisine | la cocina | Kochen
swimming | la natation | la natación | Schwimmen
gardening | le jardinage | la jardinería | Gärtnern
hiking | la randonnée | el senderismo | Wandern
sailing | la voile | la vela | Segeln
singing | le chant | el canto | Singen
golf | le golf | el golf | Golf
yoga | le yoga | el yoga | Yoga
photography | la photographie | la fotografía | Fotografie
skiing | le ski | el esquí | Skifahren
cycling | le vélo | el ciclismo | Radfahren
knitting | le tricot | el punto | Stricken
surfing | le surf | el surf | Surfen
""")

CLOSINGS = "Cheers Ahoy Amen Bravo Peace Onward Voila Indeed Hooray Roger Namaste Aloha".split()
EMOJI = "🙂"
