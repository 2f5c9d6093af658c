"""English plots of town life: errands, markets, restaurants, offices, theatres, doctors, trains, trades."""

RULES = """
story errand 5 A=child R=parent G=grocery B=colleague
- [<intro> ]<errand_start>~<errand_way>[ <errand_way>]~<errand_shop>~<errand_back> <errand_end>
- <intro> <errand_start>~<errand_way>[ <errand_way>]~<aside>~<errand_shop>~<errand_trouble>~<errand_back> <errand_end>

errand_start
- <when_morning>, {A}'s {R.father} said to {A.him}, "We have no {G} left. Please buy {G.some}."
- "{A}, could you fetch {G.some} from the shop?" called {A.his} {R.father}. "And do not dawdle!"
- There was no {G} in the house. {R.Name} gave {A} [three|four|five] coins and a basket, and {A} set off for the shop.
- {A} was allowed to go shopping alone for the first time. {A.His} {R.father} needed {G.some}, nothing else.

errand_way
- On the way {A} met [<neighbour>|a friendly <small_animal>] and almost forgot the time.
- {A} walked past the [school|church|old mill] and whistled <song>.
- <weather> But {A} did not mind the weather.
- The street was [empty|full of people|muddy|steep], and {A} [ran|hurried|walked slowly].
- <aside>
- {A} sang the name of what {A.he} had to buy, over and over, so as not to forget it.
- {A} took the short cut through the [cemetery|orchard|narrow lane] and got [thorns in {A.his} sleeve|a little
  frightened|there sooner].
- A friend called from the other side of the street, but {A} had no time to play.

errand_shop
- In the shop stood {B}, {B.a_job}, who was buying [soap|candles|apples] too. {A} waited politely. Then it was {A.his}
  turn.
- "Good day," said the shopkeeper. "What can I do for you?" "{G.Some}, please," said {A}.
- The shopkeeper had just sold the last of the {G}. But {B} the {B.job} heard it and said, "Take mine, {A}. I can wait
  until tomorrow."
- {A} asked for the {G}, paid, and put {G.it} into the basket.

errand_trouble
- On the way home the basket broke, but {A} carried everything in {A.his} hat.
- Then it began to pour. {A} hid the {G} under {A.his} coat and ran.
- A goose blocked the road and hissed. {A} waited until the goose lost interest.
- At the corner {A} noticed that {A.he} had forgotten the change. {A.He} ran back, and the shopkeeper was still
  holding it.

errand_back
- {A} came home [out of breath|just in time|before noon].
- {A.His} {R.father} was already waiting at the door.
- "You were quick!" said {A.his} {R.father}.

errand_end
- {R.Name} [kissed {A.him}|thanked {A.him}|gave {A.him} a bun] and put the {G} on the shelf.
- With the {G} there was a fine supper that night.
- "I can trust you," said {R}, and {A} grew a little taller with pride.
- <end>
- {A} was allowed to keep the change and put it into a [jar|sock|tin].
- "And where is the basket?" asked {R}. {A} looked down and ran all the way back.

story market 5 A=child B=colleague F=goods N=sum Q=taste
- [<intro> ]<when_morning>, {A} went to the market. {B.Name} the {B.job} had the [biggest|freshest|best] {F.s} of all.
  {A} bought {N.first} {F.s}. Then {A.he} came back and bought {N.second} more. That made {N.total}. <market_end>
- [<intro> ]"How much is one {F}?" asked {A}. "One coin," said {B}. {A} counted the coins. "Then I would like
  {N.first} {F.s} for us and {N.second} for the neighbours." "That makes {N.total} coins," said {B}. <market_end>
- [<intro> ]{B.Name} sold {F.s} at the market. On that <trait_day> day {B.he} sold {N.first} before noon and
  {N.second} after noon, {N.total} in all. The last one went to {A}, who said that it was the {Q.est} {F} in the
  world. <market_end>
- [<intro> ]At the market {A} compared the {F.s}. The first {F} was {Q.base}. The second was {Q.er} than the first,
  and the third was the {Q.est} of all. {A} took the third. "A good choice," said {B}, who was selling them.
  <market_end>

market_end
- {A} put everything into a bag and [hurried|walked] home. <end>
- On the way home {A} ate one, and it tasted wonderful.
- "Come again!" called {B}, and {A} <waved^hand>.
- At home they made [a cake|soup|a salad] out of it. <end>
- But the bag had a hole, and {A} had to pick everything up again. {B} helped {A.him} and gave {A.him} a new bag.
  <happy>
- "Do they taste good?" asked {B}. {A} could not answer, because {A.his} mouth was full.
- {B} put one more into the bag, as a present.
- A goat ate half of it when {A} was not looking. {B} laughed, but {A} did not.

trait_day
- sunny
- cold
- busy
- windy

story restaurant 6 A=adult B=spouse AB=pair
- [<intro_adult> ]<when>, {A} and {A.his} {B.husband} {B} went to a restaurant near the [harbour|station|theatre].
  <restaurant_order>~<restaurant_food>[ <restaurant_food>] <restaurant_pay>
- [<intro_adult> ]It was {A}'s birthday, so {A.his} {B.husband} took {A.him} out to dinner.
  <restaurant_order>~<restaurant_food>[ <restaurant_food>]~<restaurant_pay>
- [<intro_adult> ]{A} [had never eaten|wanted to eat] in the new restaurant on the square. {A.He} took {B} along.
  <restaurant_order> <aside_table>~<restaurant_food>[ <restaurant_food>]~<restaurant_pay>

restaurant_order
- The <server^person> showed {AB.them} to a table by the window and brought two menus. {A} ordered <dish>, and {B}
  wanted <dish>.
- "Good evening," said the <server^person>. "The fish is very good today." So both of them ordered fish.
- {AB.They} waited a long time for a <server^person>. Then one came, lit the candle, and wrote down the order: <dish>
  for {A} and <dish> for {B}.
- {B} could not decide between the [soup|fish] and the [pie|noodles]. "Take both," said the <server^person>, "the
  portions are small."
- "[Is there garlic in the soup|Is the bread fresh|What is the dish of the day]?" asked {A}. The <server^person> went
  to ask the cook.
- {A} read the menu from the first page to the last and then ordered the same as always: <dish>.
- The menu was in [French|Italian|Greek]. {A} pointed to the third line and {B} to the fifth, and they waited to see
  what would come.

aside_table
- At the next table somebody was celebrating, and there was a lot of laughter.
- An old piano stood in the corner, and {B} asked who played it.
- {A} told {B} about {A.his} day, and {B.he} told {A.him} about {B.his}.

restaurant_food
- The food was [hot and tasty|a little salty|better than at home]. {B} even [asked for more bread|licked the spoon].
- The soup was cold. The <server^person> said sorry, took it back to the kitchen, and brought a new one.
- The plates were large and the portions small, but the cake at the end was wonderful.
- A [button|pea|coin] lay at the bottom of {A}'s soup. {A.He} showed it to the <server^person>, who turned as white as
  the tablecloth.
- {B} tasted from {A}'s plate, and {A} tasted from {B}'s. In the end they changed plates.
- The <server^person> stumbled, and the [noodles|peas|cream] flew through the air. {B} caught half of it with the
  menu.
- It was so [hot|spicy] that {A} drank [three|four] glasses of water. "I like it," {A.he} said with tears in {A.his}
  eyes.

restaurant_pay
- "<Server^person>, may I have the <check^bill>?" asked {A}. It was [eighteen|twenty] coins, and {A} left two more for
  the <server^person>.
- Then {A} asked for the <check^bill>. "Let me pay," said {B}. "No, let me," said {A}. In the end {AB.they} shared the
  <check^bill>.
- When the <check^bill> came, {A} turned pale: {A.he} had left {A.his} money at home. {B} laughed and paid for both of
  them.
- The <server^person> laid the <check^bill> on the table. {B} read it twice, paid, and thanked the cook. {AB.They}
  walked home arm in arm.
- "The <check^bill>, please," said {B}. It came on a silver plate, together with two [sweets|pieces of
  chocolate|slices of melon].
- The <server^person> brought the wrong <check^bill>: [nine|eleven] coffees and a whole duck. They all laughed, and
  {A} paid the right one.

story office 5 A=worker B=colleague AB=pair
- {A} and {B} worked in the same office. <when_morning>, the <server^computer> stopped. <office_alarm>[
  <office_alarm>]~<office_look> <office_end>
- It was {A}'s first week in the office. "I crashed the <server^computer>," {A.he} told {B} in a small voice.
  <office_calm>~<office_look> <office_end>
- "Something is wrong with the <server^computer>," {B} told {A}. No page loaded, and no message went out.
  <office_alarm>[ <office_alarm>]~<office_look> <office_end>

office_alarm
- Nobody could read a file, and the telephones did not stand still.
- On every screen stood the same error message.
- The whole floor was suddenly very quiet. People looked up from their keyboards.
- "Did anyone save the data?" asked a voice from the next room.
- The printer printed [the same page forty times|nothing but question marks|in green], and the coffee machine stopped
  too.
- "The customers cannot order anything," called someone, and nobody dared to answer the telephone.
- {A} [wiped {A.his} forehead|rolled up {A.his} sleeves|drank a glass of water].

office_calm
- "That happens to everyone once," said {B}. "Let us look at the log."
- {B} did not shout. "Good that you say so at once," {B.he} said.
- "Again?" said {B} and sighed. "Then let us repair it together."

office_look
- {A} ran down to the cellar, where the <server^computer> stood. It was hot as an oven, because the fan was full of
  dust.
- {B} opened the log and found the line at which the program had stopped. {A} corrected it.
- {AB.They} looked at the cables first. One cable was loose. {A} pushed it back in and pressed the button.
- The disk of the <server^computer> was full. {B} deleted old copies, and {A} started the machine again.
- {A} had moved the <mouse^computer> to the wrong button and clicked twice. {B} showed {A.him} the right one.
- "Have you tried to start it again?" asked {B}. {A} tried it, and the <server^computer> started as if nothing had
  happened.
- A [moth|spider] sat on the disk of the <server^computer>. {A} carried it out, and {B} wrote in the log: one bug
  removed.
- {B} read the program line by line. In line [nine|twelve|twenty] there was one bracket too many. {A} deleted it.
- {A} counted the lamps on the <server^computer>. Two were red. {B} pulled out the [cable|card] and put it back in.

office_end
- After [five|ten|twenty] minutes everything ran again, and {B} brought coffee for all.
- "Next time," said {B}, "we <check^inspect> the copy first." {A} wrote that down.
- The screens came back one after another. {A} wiped the sweat from {A.his} forehead and ate <dish>.
- Since that day {A} <checks^inspect> the fan every Monday.

story theatre 5 A=adult B=adult2
- [<intro_adult> ]{A} was an {A.actor}. Every evening {A.he} stood on the stage of the [old|little|royal] theatre and
  played [the {A.king}|the part of the {A.king}|a poor {A.man}]. <theatre_night>[ <theatre_night>] <theatre_end>
- [<intro_adult> ]<when>, {A} read in the newspaper that the theatre was looking for an {A.actor}. {A.He} had never
  played before, but {A.he} learned the part in three days. <theatre_night>[ <theatre_night>] <theatre_end>
- [<intro_adult> ]{B} wrote plays, and {A} was the {A.actor} who played in all of them. In the new play {A} was to be
  the {A.hero}, who saves the town. <theatre_night>[ <theatre_night>] <theatre_end>

theatre_night
- On the first night the house was full. Then, in the middle of the play, {A} forgot the next line. {B}, who sat in
  the first row, whispered it.
- The curtain went up. The lamps were bright, and {A}'s heart beat fast. But as soon as the {A.actor} began to speak,
  the fear was gone.
- In the second act the crown fell off {A}'s head and rolled to the feet of {B}. {B} put it on and stood up, and
  everyone laughed.
- Two of the others were ill, so {A} played three parts and changed hats again and again.
- A [dog|cat|pigeon] walked across the stage in the middle of the saddest scene. {A} [spoke to it|fed it|sang to it],
  and the people thought that it was part of the play.
- The [painted forest|paper moon|castle wall] fell over with a crash. {A} [held it up|climbed over it|pretended that
  it was an earthquake] and went on speaking.
- {A} came on in the wrong [hat|coat|shoes], and {B}, in the last row, laughed so loudly that {A} had to laugh too.
- In the scene in which the {A.king} dies, it was so quiet that {A} could hear {B} crying.

theatre_end
- At the end the people stood and clapped, and the {A.actor} took a deep <bow^bend>.
- Afterwards {B} brought flowers behind the stage. "You were wonderful," {B.he} said.
- The next morning all the newspapers wrote about the new <star^film> of the theatre.
- {A} <bowed^bend> three times, and a rose flew onto the stage.
- "How do you remember so many words?" asked {B}. "I [sing|walk|eat] them," said the {A.actor}.
- When the theatre was empty, {A} sat down on the edge of the stage and ate <dish>.
- The newspaper wrote only [one line|two lines], but {A} cut it out and kept it for [forty|fifty] years.
- {B} waited at the back door in the [rain|snow|cold], only to shake the {A.actor}'s hand.

story train 4 A=adult B=adult2 P=town T=keepsake
- [<intro_adult> ]{A} took the [early|late|slow] train to <town={P}>. <train_talk>~<gap_train> "Next stop,
  <town?{P}>!" called the conductor. {A} took {A.his} bag and got off. <train_end>
- [<intro_adult> ]"One ticket to <town={P}>, please," said {A} at the station. The train was full, but there was one
  free seat beside {B}. <train_talk>~<gap_train> "Where do you have to get off?" asked {B}. "In <town?{P}>," said {A}.
  <train_end>

train_talk
- {B} sat opposite and peeled an orange. "Would you like a piece?" {B.he} asked.
- {B} was reading <book>, and {A} tried to read along.
- {B} had {T.a} in {B.his} hand and looked at it again and again.
- {B} asked {A} to hold a [cage|basket|box] for a moment. Something inside it was [scratching|humming|purring].
- "Is this seat free?" {A} asked. {B} moved {B.his} [hat|bag|newspaper] and smiled.
- {B} was knitting a [sock|scarf] that was already as long as the compartment.
- {B} slept with an open mouth and a [ticket|flower] behind {B.his} ear.

gap_train
- Fields and villages went by.
- The train stopped at a small station, where nobody got on. A cow looked in at the window. Then it went on through a
  tunnel.
- They talked about [the harvest|old friends|the price of bread|music]. {A} laughed, and {B} offered {A.him} <dish>.
  Outside it began to rain. The drops ran sideways along the glass, and the hills turned grey.
- The train went over a long bridge. Far below lay a river, and on it a boat as small as a toy. After the bridge came
  a forest, and after the forest came another. {A} fell asleep. When {A.he} woke up, the sun was low, and {B} had
  covered {A.him} with a coat.
- At every station somebody got on with [a goose|a cello|a basket of mushrooms|a baby]. Soon it was so full that
  people stood between the seats. A soldier sang <song>, and an old farmer shared out <dish>. Then, one after another,
  they all got off again. It grew dark, and the lamps were lit. {A} looked at {A.his} own face in the window.

train_end
- {B} was getting off there too, and so they went on talking all the way to the square.
- "Goodbye," said {B}, and {A} looked back until the train was gone.
- On the platform stood a friend with open arms.
- {A} stood on the platform with {A.his} bag and breathed in the [cool|warm|salty] air.
- Only when the train had gone did {A} notice that {A.he} had taken {B}'s [hat|umbrella|newspaper].
- "Write to me," called {B} from the window, and {A} did.

story doctor 4 A=child R=parent B=colleague
- [<intro> ]{A} had [a cough|a sore throat|a fever|a stomach ache] and lay in bed. {A.His} {R.father} sent for {B},
  the doctor. <doctor_visit>[ <doctor_visit>] <doctor_end>
- [<intro> ]<when>, {A} fell [out of a tree|off the swing|down the stairs] and hurt {A.his} [arm|knee|foot]. {R.Name}
  carried {A.him} to the doctor. <doctor_visit>[ <doctor_visit>] <doctor_end>

doctor_visit
- "Open your mouth and say ah," said the doctor. {A} did, and the doctor looked inside with a small lamp. "Three days
  in bed," was the answer.
- The doctor listened to {A}'s heart, counted to sixty, and wrote something down. "Hot tea and sleep," said the
  doctor, "and no running."
- "Does it hurt here? Or here?" asked the doctor. "Everywhere!" cried {A}. Then the doctor told a joke, and {A} forgot
  to cry.
- The doctor wrapped {A}'s [arm|hand|foot] in a white bandage and drew a [smiling face|tiny elephant|ship] on it.
- "How many [plums|pancakes|green apples] did you eat?" asked the doctor. {A} counted on {A.his} fingers and began
  again.
- "Can you [hop on one leg|whistle|wiggle your ears]?" asked the doctor. {A} could. "Then it cannot be very bad."
- {A.His} {R.father} held {A.his} hand, and it was over before {A} could count to [three|ten].

doctor_end
- {A.His} {R.father} sat by the bed and read aloud from <book> until {A} fell asleep.
- After a few days {A} was well again and [ran outside|ate three bowls of soup|asked for pancakes].
- The medicine tasted terrible, but it helped. {R.Name} was [glad|happy], and so was {A}.
- All the [friends|neighbours|cousins] came to visit and wrote their names on the bandage.
- {A} had to drink [tea|broth|warm milk] with honey, [five|seven] cups a day.
- "Doctors are not so bad," said {A} on the way home, and {A.his} {R.father} bought {A.him} [a bun|a comic book|a red
  balloon].
- A week later {A} climbed the same tree again, but more carefully.

story trade 5 A=maker B=colleague T=ware Q=quality
- <intro_worker>~<when>, {B} came in. "I need {T.a}," {B.he} said, "but {Q.er} than the one in the shop window."
  <trade_work> <trade_end>
- <intro_worker> {B} the {B.job} was {A.his} best friend. But one day the two of them quarrelled about {T.a}.
  <trade_quarrel> <trade_end>
- <intro_worker> Nobody had bought anything for weeks, and {A} was worried. Then {B} had an idea. <trade_idea>
  <trade_end>

trade_work
- {A} worked for [three|six|nine] days. The first {T} was {Q.base}, the second was {Q.er}, and the third was the
  {Q.est} {T} that anyone had ever seen.
- {A} measured, cut, glued, and painted. At midnight the {T} was ready.
- "Come back on <weekday>," said {A}. {B} came back, and the {T} was lying on the table, finished. {B} paid well.

trade_quarrel
- Each of them said that it was the other's fault that the {T} was broken. For a whole week they did not speak. Then
  {A} knocked at {B}'s door with a cake.
- {B} wanted {T.it} bigger, and {A} wanted {T.it} smaller. In the end {A} made two.
- "You never listen!" shouted {A}. "And you never stop talking!" shouted {B}. Then they both had to laugh.

trade_idea
- {A} put {T.a} in the window with a [golden|red|funny] sign. The next day there was a line in front of the door.
- {B} told everyone in town about {A}'s work, and before long {A} had more orders than hours in the day.
- "Give the first one away," said {B}. {A} gave {T.a} to a poor child, and all the other children wanted one too.

trade_end
- {A} [thanked|hugged] {B}, and they drank <drink> together.
- "Good work takes time," said {A}, and {B} nodded.
- From then on {A} and {B} [worked together|met every <weekday>|were better friends than before].

story savings 6 A=child B=colleague R=parent N=sum
- [<intro> ]{A} had {N.first} coins in a [sock|jar|tin] under the bed. "Take them to the <bank^money>," said {A.his}
  {R.father}, "there they are safe." <bank_visit>[ <bank_visit>]~<bank_end>
- [<intro> ]On {A}'s birthday {A.his} {R.father} took {A.him} to the <bank^money> for the first time. {A} had brought
  {N.first} coins. <bank_visit>[ <bank_visit>]~<bank_end>
- {B} the {B.job} wanted to open a shop and needed money. So {B.he} went to the <bank^money>. There stood {A} in the
  line with {A.his} {R.father} and [a sack of|a hat full of] coins. <bank_visit>[ <bank_visit>]~<bank_end>

bank_visit
- The clerk at the <bank^money> counted the coins [twice|three times] and wrote {A}'s name in a little [blue|green]
  book.
- In the <bank^money> it was as quiet as in a church. Behind the counter sat a clerk with [ink|spectacles] on the nose
  and stamped papers.
- "And when I want the money back?" asked {A}. "Then the <bank^money> gives it back to you," said the clerk, "with a
  little more."
- {A} put {N.first} coins on the counter of the <bank^money>, and then {N.second} more. "That makes {N.total}," said
  the clerk.
- {B} the {B.job}, who was borrowing money for a new [roof|oven|cart], let {A} go first.

bank_end
- A year later there were [two|three] coins more in the account, and {A} bought {A.his} {R.father} a [cake|scarf|cup].
- "My money is asleep now," said {A} on the way home. {A.His} {R.father} laughed.
- {A} wanted to see where the <bank^money> kept all the gold, but the steel door stayed shut.
- Since then {A} has carried one coin to the <bank^money> every <weekday>.
- <end>

story archer 4 A=child B=friend R=grandparent
- [<intro> ]{A}'s {R.grandfather} carved a <bow^weapon> from [ash|yew|hazel] wood and gave it to {A.him}, with
  [three|five] arrows. <archer_try>[ <archer_try>]~<archer_end>
- At the fair there was a straw target, and beside it lay a <bow^weapon>. "Who wants to shoot?" called a voice. {B}
  pushed {A} forward. <archer_try>[ <archer_try>]~<archer_end>
- {A} and {B} were lost in the forest and hungry. {A} had only a <bow^weapon> and [one arrow|two arrows].
  <archer_try>[ <archer_try>]~<archer_end>

archer_try
- {A} bent the <bow^weapon> and let go. The arrow flew over the [fence|barn|hedge] and hit a [bucket|scarecrow|wheel].
- "Breathe out," said {B}, "and then let go." {A} breathed out. The string hummed, and the arrow stuck in the
  [tree|door|straw].
- At the first shot the string of the <bow^weapon> broke. {A} knotted it and tried again.
- {A} aimed at an apple, but hit {B}'s hat.

archer_end
- {B} lit a <match^fire>, and soon a small fire was burning, at which they warmed their hands.
- "You need [a hundred|a thousand] arrows more," said {B}, "and then you will be good." {A} began the next day.
- {A} hung the <bow^weapon> over the bed and dreamed of dark forests.
- In the evening {B} struck a <match^fire>, because they were looking for the last arrow in the dark.
- <end>
"""
