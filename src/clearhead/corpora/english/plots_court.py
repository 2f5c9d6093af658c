"""English plots of kings and queens, princes and princesses at court.

The same sentences are told of both genders: only nouns of a pair, names and pronouns differ.
"""

RULES = """
land
- a small country
- a rich country between two rivers
- an island in the cold sea
- a land of forests and lakes
- a country at the foot of the mountains
- the land of the [white|red|grey] towers

palace
- palace with a [hundred|thousand] [rooms|windows|doors]
- palace of [white|grey|red] stone
- castle [by the sea|on a high rock|in the middle of a lake]

noble
- wise
- just
- strict
- proud
- kind
- brave
- clever
- lonely

story reign 9 K=named_ruler A=adult C=heir
- [Long ago|Once upon a time|In the old days] {K} ruled <land>. {K.He} [wore a heavy crown|sat on a golden
  throne|lived in a <palace>] and was <noble> [and|but] <noble>. <reign_trouble> <reign_turn> <reign_end>
- {K} was a <noble> {K.king}. When the old {K.king} died, {K.he} was crowned and sat on the throne for
  [twenty|thirty|forty] years. <reign_trouble> <reign_turn> <reign_end>
- When {K} came to the throne of <land>, {K.he} was only [fifteen|sixteen|seventeen|eighteen]. The crown was too big
  for {K.him} and slipped over {K.his} ears. <reign_trouble> <reign_turn> <reign_end>
- In a <palace> lived a <noble> {K.king} named {K.first}. <reign_day>[ <reign_day>] <reign_trouble> <reign_turn>
  <reign_end>
- There was once a {K.king} who ruled <land>. {K.His} name was {K.first}, and {K.his} crown was [older than the oldest
  oak|made of pure gold|as heavy as a bucket of water]. <reign_day>[ <reign_day>] <reign_turn> <reign_end>

reign_day
- Every morning the {K.king} put on the crown, sat down on the throne, and listened to [the people|the judges|the
  ministers] until noon.
- The {K.king} ate from golden plates, slept in a bed as big as a boat, and had [seven|nine|twelve] clocks, which
  never showed the same time.
- Soldiers stood at every gate of the palace, and when the {K.king} rode through the streets, the people [cheered|took
  off their hats|threw flowers].
- The {K.king} signed laws all day, and in the evening {K.he} [played chess against the cook|walked alone in the
  palace garden|read <book> by candle].

reign_trouble
- But the granaries were [empty|nearly empty], and the people were hungry.
- One day an army stood at the [border|river|northern gate], and the {K.king} did not want war.
- Nobody dared to tell the {K.king} the truth, and so {K.he} thought that everyone was [happy|rich|well fed].
- There was so much [gold|silver] in the palace and so little [bread|milk|firewood] in the villages.
- But the {K.king} could not sleep. Night after night {K.he} walked through the empty [halls|rooms|gardens] of the
  palace.
- Then it did not rain for [two|three] summers. The wells ran dry, and the [cows|sheep|horses] grew thin.
- But the two biggest cities of the kingdom quarrelled about [a bridge|a forest|a bell], and neither would give way.
- Then the {K.king} fell ill, and no doctor knew [why|what to do|a cure].

reign_turn
- {A}, a simple {A.man} from [a village|the mountains|the harbour], came to the palace, [knelt|stood] before the
  throne, and said, "Your people need [bread|peace|water|an open ear]." The {K.king} was silent for a long time.
- So the {K.king} put on an old coat, left the crown in the palace, and walked through the streets. A {A.man} named
  {A} shared [a soup|a loaf of bread|some cheese] with {K.him} and told {K.him} everything.
- The {K.king} called all the wise people of the land. They talked for [two|three|nine] days. Then {A}, who had only
  come to bring the [milk|firewood|post], asked a question that nobody could answer.
- At night {A} sang under the window, and the {K.king} listened. "Who is singing there?" {K.he} asked, and had {A}
  brought before the throne.
- "[Open the gates|Sell the golden plates|Build wells]," said {A}, the [youngest|oldest] of the ministers. All the
  others [laughed|shook their heads], but the {K.king} did not laugh.
- The {K.king} wrote a <letter^mail> with {K.his} own hand and closed it with a red <seal^wax>. {A}, {K.his} fastest
  rider, carried it over the mountains in [two|three] nights.
- Then a {A.man} called {A} came to the gate with [a donkey|a wooden flute|nothing but a stick] and asked to speak to
  the {K.king}. The soldiers wanted to send {A.him} away, but the {K.king} had heard {A.his} voice.

reign_end
- From that day on the {K.king} opened the gates of the palace once a [week|month], and anyone could come in.
- The {K.king} sold the golden plates and bought grain, and that winter no one went hungry.
- "You shall be my [adviser|minister]," said the {K.king}. "No," said {A}, "but I will come to supper."
- {K.Name} ruled for many years, and the people spoke well of {K.him} long after.
- When {K.he} was old, {K.he} gave {K.his} crown to {C}, and {C} ruled just as wisely.
- And so the {K.king} learned that a crown is [easier to lose than to wear|only a hat|worth less than a friend].
- The {K.king} gave {A} a [horse|house|garden] and [a bag of gold|three cows|thanks], and there was peace in the
  kingdom.
- In the square of the city there still stands a statue of {K}, with a crown on {K.his} head and a [bird|crow|pigeon]
  on the crown.

story heir 9 K=ruler C=named_heir A=adult
- The {K.king} had only one child, {C.first}, a <trait> {C.son}. One day {C} would wear the crown, and {C.he} was
  afraid of it. <heir_do> <heir_end>
- {C} was bored. All day long {C.he} had to sit straight in the palace and learn [the names of dead
  <rulers^person>|old laws by heart|how to walk slowly]. <heir_do> <heir_end>
- "When I am grown up, I must rule this country," thought {C}, "but I have never been outside the palace." <heir_do>
  <heir_end>
- Once upon a time there lived a young {C.prince} named {C.first} in a <palace>. {C.His} {K.father} was the {K.king},
  who ruled <land>. <heir_do> <heir_end>
- {C} was the [youngest|only] {C.son} of a <noble> {K.king}. {C.He} was <trait> and <trait>, and {C.he} loved <love>.
  <heir_do> <heir_end>
- The {C.prince} of <land> was called {C.first}. On {C.his} [twelfth|fifteenth|sixteenth] birthday the {K.king} said,
  "Go out and see the kingdom, my {C.son}." <heir_do> <heir_end>

heir_do
- So one morning the {C.prince} climbed out of the window, walked to the village, and helped {A}, a poor {A.man}, to
  [bring in the hay|dig potatoes|mend a roof|wash the sheep]. Nobody knew who {C.he} was.
- One night the {C.prince} heard a cry from the tower. There sat a young dragon that had [lost its way|hurt its
  wing|burned its tongue]. {C.He} gave it milk and [showed it the way home|stayed with it until morning].
- At the <spring^water> in the forest the {C.prince} met {A}, a {A.man} who was gathering wood, and asked {A.him} what
  {A.he} would do with a crown. "[Sell it|Wear it on Sundays|Give it to my goat]," said {A}.
- The {C.prince} rode through the whole country with only one horse and no servants, and slept in [barns and
  mills|haystacks|the houses of strangers].
- The {C.prince} lost {C.his} [crown|golden ball|sword] in the [river|lake|well], and {A}, a poor {A.man} from the
  village, dived for it until {A.he} had found it.
- Instead of dancing lessons the {C.prince} secretly took lessons from {A}, who could [bake|carve wood|shoe
  horses|sail a boat] better than anyone in the kingdom.
- {C.He} saddled {C.his} horse and rode to the border, where {A}, an old soldier, had been standing guard for
  [nine|twenty] years. Nobody had ever visited {A.him} before.
- The {C.prince} found a hungry [dog|child|soldier] at the gate of the palace and gave away {C.his} own supper, three
  nights in a row.
- At the market the {C.prince} wanted to buy an apple, but {C.he} had never carried money. {A}, who was selling the
  apples, laughed and gave {C.him} two.

heir_end
- When the {C.prince} came home, {C.his} {K.father} was not angry. "Now you know your people," said the {K.king}, and
  laid {K.his} crown in {C.his} hands.
- Years later, when {C} sat on the throne, {C.he} remembered that day before every law.
- The {K.king} took the {C.prince} in {K.his} arms. "You will rule better than I," {K.he} said.
- From then on the {C.prince} was no longer afraid, for {C.he} had a friend outside the palace.
- In the evening the {C.prince} told the {K.king} everything, and the two of them sat by the fire until the throne
  room was dark.
- "A crown is heavy," said the {K.king}, "but you have strong shoulders, my {C.son}."
- The {K.king} pretended to have noticed nothing, but the next morning there was [a map|a saddled horse|a warm coat]
  in front of the {C.prince}'s door.
- So {C} learned more in one day than in a year of lessons, and the {K.king} knew it.
- "When will I be {C.king}?" asked {C}. "When you no longer want it so much," said {C.his} {K.father}.

story throne_bow 6 K=ruler A=child C=named_heir T=keepsake
- {A} was invited to the palace. "When the {K.king} comes in, you must <bow^bend>," {A.he} was told. <bow_meet>
  <bow_end>
- For the {K.king}'s birthday {A} had brought {T.a} with a [red|blue|white] <bow^ribbon> around {T.it}. {A} knelt down
  and laid {T.it} before the throne. <bow_meet> <bow_end>
- There was a contest at court. {A} took {A.his} <bow^weapon>, laid an arrow on the string, and hit the middle of the
  target. The <bow^weapon> was made of yew and almost as tall as {A}. With three arrows {A.he} won. <bow_meet>
  <bow_end>
- {A} was the child of the palace [cook|gardener|baker] and had never seen the throne room. <when>, {A} carried a
  [tray|basket of pears|jug of water] up the stairs, and there sat the {K.king} on the throne. <bow_meet> <bow_end>

bow_meet
- Then {A} <bowed^bend> so low that {A.he} [fell on {A.his} nose|lost both shoes|could not get up again], and {C}
  laughed out loud.
- {A} wanted to <bow^bend>, but the {K.king} rose from the throne and took {A.him} by the hand. "Come and sit down,"
  {K.he} said.
- "Rise," said the {K.king}, "and tell me your wish." {A} looked at {C}, who nodded to {A.him}.
- The {K.king} took the crown off, for it was a hot day, and put it on the head of {C}, whose {K.father} {K.he} was.
- "Who are you?" asked the {K.king}. "I am {A}, and I have come [on foot|from the village|to see the swans]."
- Beside the throne stood {C} and yawned. The {C.prince} had been standing there for three hours.

bow_end
- "I wish for nothing but [a good breakfast|a swim in the palace pond|a look from the highest tower]," said {A}, and
  was given it.
- The {K.king} laughed, and from then on {A} could come to the palace whenever {A.he} liked.
- {A} and the {C.prince} became friends and fed the [swans|horses|ducks] together.
- When {A} came home, everyone wanted to know what the throne looked like. "[Uncomfortable|Too big|Golden, with a
  cushion]," said {A}.
- The {K.king} gave {A} a coin with the head of the {K.king} on it, and {A} never spent it.
- "Come back tomorrow," whispered {C}. "Then I will show you the secret stairs."

story two_rulers 5 K=named_ruler L=named_ruler A=child
- {K} ruled the north, and {L} ruled the south. <rulers_quarrel> <rulers_peace>
- There were once two neighbours, {K} and {L}. Each of them had a crown, a throne, and [an army|a flag|a herald].
  <rulers_quarrel> <rulers_peace>
- Between the land of {K} and the land of {L} there was a river with only one bridge. <rulers_quarrel> <rulers_peace>

rulers_quarrel
- {K} said that [the river|the bridge|the forest|the mountain] belonged to {K.him}. {L} said that it belonged to
  {L.him}. They wrote angry messages for [ten|twenty] years.
- One day {K} sent back a present from {L}, because it was [broken|too small|a goose]. Then {L} closed the border.
- Nobody remembered how the quarrel had begun. {K} thought that {L} was to blame, and {L} thought that it was {K}.

rulers_peace
- Then a child named {A} walked across the bridge to look for a lost goat, and both armies helped to look. In the
  evening {K} and {L} sat at the same fire.
- At last {K} took off the crown, rowed across the river alone, and knocked. "Come in," said {L}. "I have just made
  soup."
- They met in a tent at the border. {K} was so nervous that {K.he} sat down on the crown of {L}. There was a long
  silence. Then {L} began to laugh.
- {A}, a child from the border, brought them one apple. {K} cut it in two, and {L} chose the first half. After that
  they divided the land in the same way.

story thief 6 K=ruler C=named_heir A=adult D=box P=spot N=number
- One morning the crown of the {K.king} was gone. It had always lain in the <where={D}>, but now the <where?{D}> was
  empty. {A}, who cleaned the windows of the palace, had noticed it first. <thief_search>[ <thief_search>] <thief_end>
- Before a long journey the {K.king} hid the [crown|key of the treasure|royal sword] <where={P}> and told nobody but
  {C}. <gap_court> When the {K.king} came back, {K.he} had forgotten the place. "<where?{P.cap}>," said the
  {C.prince}, and there it was.
- The door of the treasure room had a secret number, which only the {K.king} knew. Before a long journey {K.he} told
  it to {C}: <number={N}>. <gap_court> The {K.king} stood before the door of the treasure room and could not remember
  the number. "<number?{N.cap}>," said {C}, and the door opened.

thief_search
- The {K.king} sent out soldiers in all directions. Only {C} stayed calm and looked at the floor, where there were
  small black feathers.
- "Who was in the palace last night?" asked the {K.king}. Everyone looked at {A}. "It was not I," said {A}.
- {C} asked everyone questions, the cook, the gardener, and {A}. The {C.prince} even looked under the throne.
- "Nobody leaves the palace!" cried the {K.king}. {A} had to turn out {A.his} pockets. There was nothing in them but
  [a plum|string|a spoon].
- {C} laid flour on the floor and waited. In the morning there were [tiny|three-toed|very large] footprints in it.

thief_end
- At last they found the crown in the nest of a crow, on the highest [oak|tower|chimney] of the palace. {A} climbed up
  and brought it down.
- In the end it turned out that the {K.king} had walked in {K.his} sleep and put the crown into the [soup
  pot|oven|flower pot]. Nobody dared to laugh, except the {K.king}.
- It was {A} who found it, [in the stable|under the bath|on the head of a statue]. As a reward the {K.king} gave
  {A.him} a house and a cow.
- The {C.prince} had only borrowed it, to play {C.king} with the children of the cook. The {K.king} was silent for a
  moment and then asked who had won.

gap_court
- The journey was short.
- Weeks went by. In the palace the clocks were wound, the floors were swept, and the soup was cooked as always.
- In the palace it was quiet. The {C.prince} learned to play the flute, grew a little taller, and read <book>. The
  cook caught a cold and put too much salt in everything. In the garden the <flower> bloomed and withered again.
- The journey took a whole year. Far away the {K.king} met [many crowned heads|the great of many lands], ate with
  them, and signed papers. There was a storm at sea, and the ship lost its mast. In a foreign port the {K.king} bought
  a parrot, which could say only one word: no. At home the {C.prince} opened the gates every morning and closed them
  every evening. A tree fell on the stable. Two foals were born. Then, one day in autumn, trumpets sounded on the
  road.
- The {K.king} travelled over the mountains with [twelve|twenty] riders. On the third day it began to snow. They slept
  in a barn, and the {K.king} gave {K.his} coat to a freezing shepherd. In the next valley the people did not know
  that they had a {K.king}, and {K.he} had to show them a coin with {K.his} own face on it. At home {C} wrote down
  everything that happened, so as to be able to tell it: the leak in the tower, the wedding of the gardener, and the
  night when all the geese got out.
"""
