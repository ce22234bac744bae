//! One point per ISO 3166-1 country, sorted by code. Written by `data/make_country_points.py` from Natural Earth
//! outlines (public domain): the visual centre of the largest polygon, or a hand-made point near the people where
//! the row says why. Do not edit by hand: change the script and run it again.

/// `(code, latitude, longitude)` in degrees, sorted by code.
#[rustfmt::skip]
pub(super) const POINTS: [(&str, f64, f64); 250] = [
    ("AD", 42.55, 1.54), // Andorra
    ("AE", 25.00, 55.20), // United Arab Emirates: Dubai and Abu Dhabi; the centre is desert
    ("AF", 34.35, 66.65), // Afghanistan
    ("AG", 17.07, -61.81), // Antigua and Barbuda
    ("AI", 18.24, -63.03), // Anguilla
    ("AL", 40.64, 20.11), // Albania
    ("AM", 40.57, 44.61), // Armenia
    ("AO", -13.19, 17.80), // Angola
    ("AQ", -75.17, 103.70), // Antarctica
    ("AR", -34.00, -60.50), // Argentina: between Buenos Aires, Rosario and Cordoba; the south is nearly empty
    ("AS", -14.33, -170.75), // American Samoa
    ("AT", 47.74, 15.35), // Austria
    ("AU", -34.50, 148.00), // Australia: between Sydney, Melbourne and Canberra; the centre is desert
    ("AW", 12.51, -69.96), // Aruba
    ("AX", 60.16, 19.88), // Åland Islands
    ("AZ", 40.49, 48.47), // Azerbaijan
    ("BA", 44.08, 18.07), // Bosnia and Herzegovina
    ("BB", 13.16, -59.56), // Barbados
    ("BD", 24.31, 89.75), // Bangladesh
    ("BE", 50.78, 4.70), // Belgium
    ("BF", 12.81, -0.93), // Burkina Faso
    ("BG", 42.51, 25.20), // Bulgaria
    ("BH", 25.98, 50.55), // Bahrain
    ("BI", -3.40, 29.84), // Burundi
    ("BJ", 10.35, 2.37), // Benin
    ("BL", 17.90, -62.83), // Saint Barthélemy
    ("BM", 32.37, -64.68), // Bermuda
    ("BN", 4.45, 114.55), // Brunei Darussalam
    ("BO", -16.78, -64.73), // Bolivia
    ("BQ", 12.20, -68.25), // Bonaire, Sint Eustatius and Saba
    ("BR", -21.50, -46.00), // Brazil: between Sao Paulo, Rio and Belo Horizonte; the centre is forest
    ("BS", 24.63, -77.97), // Bahamas
    ("BT", 27.51, 89.97), // Bhutan
    ("BV", -54.41, 3.42), // Bouvet Island
    ("BW", -22.03, 24.17), // Botswana
    ("BY", 53.79, 28.45), // Belarus
    ("BZ", 17.46, -88.71), // Belize
    ("CA", 44.50, -78.00), // Canada: between Toronto, Ottawa and Montreal; the centre is tundra
    ("CC", -12.19, 96.85), // Cocos (Keeling) Islands
    ("CD", -4.40, 15.40), // Congo, The Democratic Republic of the: Kinshasa; the centre is forest
    ("CF", 7.00, 21.70), // Central African Republic
    ("CG", 0.06, 15.94), // Congo
    ("CH", 46.70, 7.47), // Switzerland
    ("CI", 7.52, -5.53), // Côte d'Ivoire
    ("CK", -21.22, -159.77), // Cook Islands
    ("CL", -33.50, -70.70), // Chile: Santiago; the country is 4,300 km long
    ("CM", 4.53, 12.42), // Cameroon
    ("CN", 32.50, 116.50), // China: between Beijing, Shanghai and Guangzhou; the west is nearly empty
    ("CO", 4.70, -74.50), // Colombia: Bogota and the Andean cities; the south-east is forest
    ("CR", 10.07, -83.96), // Costa Rica
    ("CU", 20.57, -76.48), // Cuba
    ("CV", 15.04, -23.61), // Cabo Verde
    ("CW", 12.13, -68.86), // Curaçao
    ("CX", -10.49, 105.68), // Christmas Island
    ("CY", 34.91, 32.64), // Cyprus
    ("CZ", 49.77, 14.27), // Czechia
    ("DE", 51.02, 9.65), // Germany
    ("DJ", 11.40, 42.17), // Djibouti
    ("DK", 55.93, 9.00), // Denmark
    ("DM", 15.49, -61.37), // Dominica
    ("DO", 19.11, -70.92), // Dominican Republic
    ("DZ", 36.30, 3.50), // Algeria: the coast; the centre is Sahara
    ("EC", -1.21, -78.15), // Ecuador
    ("EE", 58.62, 26.50), // Estonia
    ("EG", 30.20, 31.20), // Egypt: the Nile delta; the west is Sahara
    ("EH", 21.96, -13.70), // Western Sahara
    ("ER", 16.03, 38.09), // Eritrea
    ("ES", 40.02, -3.46), // Spain
    ("ET", 8.53, 38.41), // Ethiopia
    ("FI", 60.90, 24.80), // Finland: Helsinki and Tampere; the north is nearly empty
    ("FJ", -17.80, 178.00), // Fiji: Viti Levu; an island across the 180th meridian confuses the outlines
    ("FK", -51.61, -58.74), // Falkland Islands (Malvinas)
    ("FM", 6.88, 158.23), // Micronesia, Federated States of
    ("FO", 62.23, -7.12), // Faroe Islands
    ("FR", 46.73, 2.54), // France
    ("GA", -0.62, 11.41), // Gabon
    ("GB", 52.40, -1.30), // United Kingdom: the English Midlands, between London, Manchester and Birmingham
    ("GD", 12.09, -61.68), // Grenada
    ("GE", 42.36, 42.45), // Georgia
    ("GF", 3.96, -53.02), // French Guiana
    ("GG", 49.46, -2.56), // Guernsey
    ("GH", 6.98, -1.25), // Ghana
    ("GI", 36.13, -5.35), // Gibraltar
    ("GL", 64.20, -51.70), // Greenland: Nuuk; the centre is an ice sheet
    ("GM", 13.64, -14.96), // Gambia
    ("GN", 10.67, -10.02), // Guinea
    ("GP", 16.30, -61.43), // Guadeloupe
    ("GQ", 1.59, 10.33), // Equatorial Guinea
    ("GR", 39.84, 21.65), // Greece
    ("GS", -54.50, -36.31), // South Georgia and the South Sandwich Islands
    ("GT", 14.99, -90.50), // Guatemala
    ("GU", 13.40, 144.71), // Guam
    ("GW", 12.15, -14.51), // Guinea-Bissau
    ("GY", 2.74, -58.65), // Guyana
    ("HK", 22.44, 114.09), // Hong Kong
    ("HM", -53.10, 73.52), // Heard Island and McDonald Islands
    ("HN", 14.73, -87.15), // Honduras
    ("HR", 45.82, 16.51), // Croatia
    ("HT", 19.22, -72.25), // Haiti
    ("HU", 47.21, 20.39), // Hungary
    ("ID", -6.60, 107.60), // Indonesia: western Java; the largest polygon is Borneo
    ("IE", 53.12, -7.80), // Ireland
    ("IL", 32.00, 34.90), // Israel: Tel Aviv and Jerusalem; the south is desert
    ("IM", 54.26, -4.49), // Isle of Man
    ("IN", 21.50, 78.50), // India: between Mumbai, Delhi, Bengaluru and Kolkata
    ("IO", -7.29, 72.39), // British Indian Ocean Territory
    ("IQ", 33.30, 44.40), // Iraq: Baghdad; the west is desert
    ("IR", 32.15, 55.67), // Iran
    ("IS", 64.67, -18.81), // Iceland
    ("IT", 45.13, 10.82), // Italy
    ("JE", 49.22, -2.08), // Jersey
    ("JM", 18.17, -77.56), // Jamaica
    ("JO", 30.73, 36.33), // Jordan
    ("JP", 35.40, 138.20), // Japan: between Tokyo, Nagoya and Osaka
    ("KE", -1.20, 36.90), // Kenya: Nairobi; the north is nearly empty
    ("KG", 41.74, 74.57), // Kyrgyzstan
    ("KH", 12.63, 104.48), // Cambodia
    ("KI", 1.40, 173.00), // Kiribati: Tarawa: half of the people; the largest atoll is 3,000 km away
    ("KM", -11.73, 43.33), // Comoros
    ("KN", 17.36, -62.81), // Saint Kitts and Nevis
    ("KP", 39.93, 126.45), // North Korea
    ("KR", 37.20, 127.10), // South Korea: Seoul and its surroundings: half of the people
    ("KW", 29.69, 47.44), // Kuwait
    ("KY", 19.32, -81.24), // Cayman Islands
    ("KZ", 43.80, 76.00), // Kazakhstan: Almaty and the south-east; the centre is steppe
    ("LA", 19.65, 102.57), // Laos
    ("LB", 34.17, 36.03), // Lebanon
    ("LC", 13.86, -60.98), // Saint Lucia
    ("LI", 47.11, 9.56), // Liechtenstein
    ("LK", 7.10, 80.84), // Sri Lanka
    ("LR", 7.02, -10.23), // Liberia
    ("LS", -29.41, 28.48), // Lesotho
    ("LT", 55.11, 24.11), // Lithuania
    ("LU", 49.71, 6.09), // Luxembourg
    ("LV", 56.63, 26.59), // Latvia
    ("LY", 32.40, 15.10), // Libya: the coast; the centre is Sahara
    ("MA", 31.76, -6.43), // Morocco
    ("MC", 43.74, 7.40), // Monaco
    ("MD", 47.44, 28.51), // Moldova
    ("ME", 42.77, 19.11), // Montenegro
    ("MF", 18.08, -63.05), // Saint Martin (French part)
    ("MG", -18.40, 46.70), // Madagascar
    ("MH", 7.16, 171.05), // Marshall Islands
    ("MK", 41.48, 21.20), // North Macedonia
    ("ML", 12.70, -7.90), // Mali: Bamako; the north is Sahara
    ("MM", 21.62, 95.91), // Myanmar
    ("MN", 47.90, 106.90), // Mongolia: Ulaanbaatar: half of the people
    ("MO", 22.15, 113.55), // Macao
    ("MP", 15.19, 145.73), // Northern Mariana Islands
    ("MQ", 14.73, -61.07), // Martinique
    ("MR", 18.10, -15.90), // Mauritania: Nouakchott; the east is Sahara
    ("MS", 16.74, -62.19), // Montserrat
    ("MT", 35.90, 14.42), // Malta
    ("MU", -20.32, 57.54), // Mauritius
    ("MV", 4.17, 73.51), // Maldives
    ("MW", -13.42, 33.75), // Malawi
    ("MX", 20.30, -100.00), // Mexico: between Mexico City, Guadalajara and Monterrey
    ("MY", 3.20, 101.70), // Malaysia: Kuala Lumpur; the largest polygon is Borneo
    ("MZ", -13.99, 38.16), // Mozambique
    ("NA", -20.60, 17.09), // Namibia
    ("NC", -21.04, 165.08), // New Caledonia
    ("NE", 13.50, 4.00), // Niger: Niamey and the south; the north is Sahara
    ("NF", -29.04, 167.97), // Norfolk Island
    ("NG", 9.38, 7.29), // Nigeria
    ("NI", 12.54, -85.18), // Nicaragua
    ("NL", 52.23, 5.30), // Netherlands
    ("NO", 59.90, 9.80), // Norway: Oslo and the south; the country is 1,700 km long
    ("NP", 28.97, 82.05), // Nepal
    ("NR", -0.52, 166.93), // Nauru
    ("NU", -19.05, -169.86), // Niue
    ("NZ", -38.00, 175.50), // New Zealand: between Auckland, Hamilton and Wellington; more land but fewer people in the South
    ("OM", 22.10, 57.33), // Oman
    ("PA", 8.36, -80.93), // Panama
    ("PE", -12.00, -76.80), // Peru: Lima; the east is forest
    ("PF", -17.63, -149.46), // French Polynesia
    ("PG", -9.40, 147.20), // Papua New Guinea: Port Moresby
    ("PH", 14.60, 121.00), // Philippines: Manila; 1,800 km of islands
    ("PK", 30.50, 72.00), // Pakistan: Punjab; the south-west is desert
    ("PL", 51.90, 20.56), // Poland
    ("PM", 47.04, -56.33), // Saint Pierre and Miquelon
    ("PN", -24.36, -128.32), // Pitcairn
    ("PR", 18.24, -66.65), // Puerto Rico
    ("PS", 32.12, 35.25), // Palestine, State of
    ("PT", 40.66, -7.73), // Portugal
    ("PW", 7.57, 134.60), // Palau
    ("PY", -25.30, -57.40), // Paraguay: Asuncion; the west is nearly empty
    ("QA", 25.09, 51.19), // Qatar
    ("RE", -21.09, 55.52), // Réunion
    ("RO", 45.80, 24.36), // Romania
    ("RS", 44.22, 20.57), // Serbia
    ("RU", 55.60, 41.50), // Russian Federation: between Moscow, Saint Petersburg and the Volga; not Siberia
    ("RW", -1.82, 30.32), // Rwanda
    ("SA", 24.50, 45.00), // Saudi Arabia: Riyadh; the south is desert
    ("SB", -9.62, 160.29), // Solomon Islands
    ("SC", -4.64, 55.43), // Seychelles
    ("SD", 15.50, 32.50), // Sudan: Khartoum; the north-west is Sahara
    ("SE", 58.80, 16.00), // Sweden: between Stockholm, Gothenburg and Linkoping; the north is nearly empty
    ("SG", 1.36, 103.82), // Singapore
    ("SH", -15.95, -5.70), // Saint Helena, Ascension and Tristan da Cunha
    ("SI", 46.04, 14.90), // Slovenia
    ("SJ", 78.70, 18.11), // Svalbard and Jan Mayen
    ("SK", 48.73, 18.72), // Slovakia
    ("SL", 8.67, -11.77), // Sierra Leone
    ("SM", 43.93, 12.44), // San Marino
    ("SN", 15.21, -14.93), // Senegal
    ("SO", 2.55, 43.01), // Somalia
    ("SR", 4.10, -55.95), // Suriname
    ("SS", 7.14, 30.37), // South Sudan
    ("ST", 0.25, 6.60), // Sao Tome and Principe
    ("SV", 13.90, -89.27), // El Salvador
    ("SX", 18.05, -63.09), // Sint Maarten (Dutch part)
    ("SY", 35.04, 38.15), // Syria
    ("SZ", -26.55, 31.45), // Eswatini
    ("TC", 21.81, -71.82), // Turks and Caicos Islands
    ("TD", 12.10, 15.30), // Chad: N'Djamena; the north is Sahara
    ("TF", -49.31, 69.13), // French Southern Territories
    ("TG", 8.82, 1.05), // Togo
    ("TH", 15.47, 101.39), // Thailand
    ("TJ", 38.23, 72.58), // Tajikistan
    ("TK", -9.35, -171.19), // Tokelau
    ("TL", -8.90, 125.45), // Timor-Leste
    ("TM", 39.85, 58.65), // Turkmenistan
    ("TN", 35.36, 9.56), // Tunisia
    ("TO", -21.21, -175.16), // Tonga
    ("TR", 39.14, 33.28), // Türkiye
    ("TT", 10.31, -61.23), // Trinidad and Tobago
    ("TV", -8.52, 179.21), // Tuvalu
    ("TW", 23.51, 120.81), // Taiwan
    ("TZ", -5.55, 34.08), // Tanzania
    ("UA", 48.90, 33.58), // Ukraine
    ("UG", 1.98, 33.00), // Uganda
    ("UM", 5.88, -162.07), // United States Minor Outlying Islands
    ("US", 37.40, -92.40), // United States: the mean centre of population (Missouri); Alaska pulls the visual centre north-west
    ("UY", -34.70, -56.00), // Uruguay: Montevideo: half of the people
    ("UZ", 41.44, 64.09), // Uzbekistan
    ("VA", 41.90, 12.45), // Holy See (Vatican City State)
    ("VC", 13.23, -61.20), // Saint Vincent and the Grenadines
    ("VE", 10.10, -67.50), // Venezuela: Caracas and the northern coast; the south is forest
    ("VG", 18.43, -64.64), // Virgin Islands, British
    ("VI", 17.75, -64.78), // Virgin Islands, U.S.
    ("VN", 16.00, 107.50), // Vietnam: midway between Hanoi and Ho Chi Minh City
    ("VU", -15.37, 166.88), // Vanuatu
    ("WF", -13.26, -176.16), // Wallis and Futuna
    ("WS", -13.64, -172.41), // Samoa
    ("XK", 42.60, 20.87), // Kosovo
    ("YE", 15.31, 45.07), // Yemen
    ("YT", -12.77, 45.15), // Mayotte
    ("ZA", -27.50, 28.00), // South Africa: Johannesburg and Pretoria, towards Durban; the visual centre is the Karoo
    ("ZM", -14.75, 26.16), // Zambia
    ("ZW", -18.99, 29.94), // Zimbabwe
];
